"""Checkpoints survive truncation, a kill in the middle of a write, and a full disk."""

import logging
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from _support.mutants import catches
from vistok.workbench.run import checkpoint
from vistok.workbench.run.checkpoint import (
    CheckpointError,
    checkpoint_path,
    list_checkpoints,
    load_latest_checkpoint,
    save_checkpoint,
    step_of,
)

SUBJECT = "vistok.workbench.run.checkpoint"


def state(step: int) -> dict[str, object]:
    return {"weights": torch.full((1000,), float(step)), "step": step}


def same(found: dict[str, object], expected: dict[str, object]) -> bool:
    return found["step"] == expected["step"] and torch.equal(found["weights"], expected["weights"])


@catches(SUBJECT, "in reversed(paths)", "in paths")
def test_the_latest_is_chosen_by_step_not_by_age_or_size(tmp_path):
    save_checkpoint(tmp_path, 20, {**state(20), "padding": torch.zeros(100_000)}, keep=9)
    save_checkpoint(tmp_path, 100, state(100), keep=9)
    save_checkpoint(tmp_path, 9, state(9), keep=9)
    os.utime(checkpoint_path(tmp_path, 9))
    step, loaded = load_latest_checkpoint(tmp_path)
    assert step == 100
    assert torch.equal(loaded["weights"], torch.full((1000,), 100.0))


@catches(SUBJECT, "list_checkpoints(folder)[:-keep]", "list_checkpoints(folder)[:-2]")
def test_only_the_newest_are_kept(tmp_path):
    for step in range(1, 6):
        save_checkpoint(tmp_path, step, state(step), keep=3)
    assert [step_of(path) for path in list_checkpoints(tmp_path)] == [3, 4, 5]


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_truncated_one_is_reported_by_name_and_the_previous_one_is_used(tmp_path, caplog, cut):
    save_checkpoint(tmp_path, 1, state(1))
    path = save_checkpoint(tmp_path, 2, state(2))
    path.write_bytes(path.read_bytes()[:cut])
    with caplog.at_level(logging.WARNING):
        step, _ = load_latest_checkpoint(tmp_path)
    assert step == 1
    assert str(path) in caplog.text


@catches(SUBJECT, "    if paths:\n", "    if not paths:\n")
def test_none_readable_is_an_error_and_none_at_all_is_not(tmp_path):
    assert load_latest_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, 1, state(1)).write_bytes(b"broken")
    with pytest.raises(CheckpointError, match="none of its 1 checkpoints"):
        load_latest_checkpoint(tmp_path)


def test_a_full_disk_leaves_the_earlier_checkpoints(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, state(1))

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", no_space)
    with pytest.raises(CheckpointError, match=r"step-000000002\.pt: no space left on .*, needed .* bytes"):
        save_checkpoint(tmp_path, 2, state(2))
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000001.pt"]
    assert load_latest_checkpoint(tmp_path)[0] == 1


KILLED_WHILE_WRITING = """
import os, pathlib, signal, sys, torch
from vistok.workbench.run import checkpoint
folder = pathlib.Path(sys.argv[1])
checkpoint.save_checkpoint(folder, 1, {"x": torch.ones(10)})
def half(state, file):
    file.write(b"half of a checkpoint")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
checkpoint.torch.save = half
checkpoint.save_checkpoint(folder, 2, {"x": torch.ones(10)})
"""


def test_a_kill_during_the_write_leaves_the_previous_one_and_the_rest_is_cleaned_up(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert load_latest_checkpoint(tmp_path)[0] == 1
    assert any(path.name.endswith(".partial") for path in tmp_path.iterdir())
    save_checkpoint(tmp_path, 2, state(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000001.pt", "step-000000002.pt"]


def test_keeping_one_only_is_refused(tmp_path):
    with pytest.raises(ValueError, match="keep: expected at least 2, got 1"):
        save_checkpoint(tmp_path, 1, state(1), keep=1)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    save_checkpoint(tmp_path, 1, state(1))
    torch.save({"x": Path}, checkpoint_path(tmp_path, 2))
    assert load_latest_checkpoint(tmp_path)[0] == 1


def test_no_bit_flip_in_a_checkpoint_loads_other_values(tmp_path):
    save_checkpoint(tmp_path, 1, state(1))
    path = save_checkpoint(tmp_path, 2, state(2))
    whole = path.read_bytes()
    for place in range(0, 8 * len(whole), 7 * len(whole) // 300):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        step, found = load_latest_checkpoint(tmp_path)
        assert step == 1 or same(found, state(2))  # the latter where the mark of the checksum itself is hit


@catches(SUBJECT, "if place >= 0 and _digest(", "if place > end.rfind(_MARK) and _digest(")
def test_a_damaged_one_is_named_and_the_one_before_it_used(tmp_path, caplog):
    save_checkpoint(tmp_path, 1, state(1))
    path = save_checkpoint(tmp_path, 2, state(2))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert load_latest_checkpoint(tmp_path)[0] == 1
    assert f"{path} cannot be read (damaged, its content does not match its checksum); trying" in caplog.text


def test_checkpoints_without_a_checksum_load_and_ours_are_plain_files_of_torch(tmp_path):
    torch.save(state(3), checkpoint_path(tmp_path, 3))
    assert same(load_latest_checkpoint(tmp_path)[1], state(3))
    assert same(torch.load(save_checkpoint(tmp_path, 4, state(4)), weights_only=True), state(4))


@contextmanager
def file_size_limit(size):
    """As good as a full disk, and no test needs a disk for it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("after", [0, 100, 3000])
def test_a_disk_that_fills_up_while_writing_says_so(tmp_path, after):
    save_checkpoint(tmp_path, 1, state(1))
    told = r"step-000000002\.pt: larger than a file may be here, needed 40,000 bytes; earlier"
    with pytest.raises(CheckpointError, match=told), file_size_limit(after):
        save_checkpoint(tmp_path, 2, {"x": torch.ones(10_000)})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001.pt"]
    assert load_latest_checkpoint(tmp_path)[0] == 1
