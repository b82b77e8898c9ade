"""A kill at any moment of a write, and a disk that fills up at any byte: the file before or the file after, whole."""

import errno
import itertools
import os
import resource
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from _support.fuzzing import cases, check_told
from _support.mutated_bytes import contents, in_a_child
from vistok.workbench.backbones.pretrained import Pretrained
from vistok.workbench.run.checkpoint import CheckpointError, load_latest_checkpoint, save_checkpoint
from vistok.workbench.run.files import NoSpaceError, read_json, write_atomically
from vistok.workbench.run.tensor_files import load_tensors, save_tensors

SIZE = 4000


class Network(nn.Module, Pretrained):
    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version
        self.weight = nn.Parameter(torch.full((SIZE,), float(version)))


def tensors_of(folder: Path) -> float:
    return load_tensors(folder / "x.safetensors")["x"].unique().item()


def write_tensors(folder: Path, version: int) -> None:
    save_tensors(folder / "x.safetensors", {"x": torch.full((SIZE,), float(version))})


def write_checkpoint(folder: Path, version: int) -> None:
    save_checkpoint(folder, version, {"x": torch.full((SIZE,), float(version))})


def checkpoint_of(folder: Path) -> float:
    step, state = load_latest_checkpoint(folder)
    assert state["x"].unique().item() == step
    return float(step)


def write_figures(folder: Path, version: int) -> None:
    write_atomically(folder / "f.json", f'{{"version": {version}, "padding": "{"x" * SIZE}"}}')


def figures_of(folder: Path) -> float:
    return float(read_json(folder / "f.json", "version", "padding")["version"])


def write_network(folder: Path, version: int) -> None:
    Network(version).save_pretrained(folder)


def network_of(folder: Path) -> float:
    try:
        network = Network.from_pretrained(folder)
    except ValueError as error:  # killed between its two files: told, and the next write mends it
        check_told(error, mentions="is not what the weights were saved with")
        return load_tensors(folder / "model.safetensors")["weight"].unique().item()
    assert network.version == network.weight.unique().item()
    return float(network.version)


KINDS = {
    "tensors": (write_tensors, tensors_of),
    "checkpoint": (write_checkpoint, checkpoint_of),
    "figures": (write_figures, figures_of),
    "network": (write_network, network_of),
}
PARAMETERS = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("writes")


@PARAMETERS
@given(microseconds=st.integers(0, 30_000))
@cases(15)
def test_a_kill_at_any_moment_leaves_a_whole_file(place, kind, microseconds):
    write, read = KINDS[kind]
    folder = place / kind
    write(folder, 1)

    def write_on() -> None:
        for version in itertools.count(1):
            write(folder, version)

    assert in_a_child(write_on, killed_after=microseconds / 1e6) == -9
    assert read(folder) >= 1
    write(folder, 10**6)  # what the kill left aside is in nobody's way
    assert read(folder) == 10**6
    for path in folder.glob("step-*.pt"):
        path.unlink()


@PARAMETERS
@given(room=st.integers(0, 5 * SIZE))
@cases(15)
def test_a_disk_that_is_full_at_any_byte_keeps_what_was_there(place, kind, room):
    """A limit on the size of files stands for the disk: the same call fails, at a byte that the test chooses."""
    write, read = KINDS[kind]
    folder = place / f"full-{kind}"
    write(folder, 1)
    before = contents(folder)

    def write_in_little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            write(folder, 2)
        except (NoSpaceError, CheckpointError) as error:
            check_told(error, mentions=str(folder))
            os._exit(28)

    code = in_a_child(write_in_little_room)
    assert code in (0, 28)
    if code == 28:
        assert contents(folder) == before
    assert not list(folder.rglob("*.partial"))
    assert read(folder) == (1 if code else 2)
    for path in folder.glob("step-*.pt"):
        path.unlink()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 kB, where this user may make one."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


@PARAMETERS
def test_a_real_disk_fills_up_is_emptied_and_the_write_goes_on(small_disk, kind):
    write, read = KINDS[kind]
    write(small_disk / "run", 1)
    before = contents(small_disk / "run")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1000))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017
    with pytest.raises((NoSpaceError, CheckpointError)) as caught:
        write(small_disk / "run", 2)
    check_told(caught.value, mentions=f"no space left on tmpfs ({small_disk}), needed ")
    assert contents(small_disk / "run") == before
    assert read(small_disk / "run") == 1
    filler.unlink()
    write(small_disk / "run", 2)
    assert read(small_disk / "run") == 2
