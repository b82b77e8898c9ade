"""Checkpoints that several processes write and read together, each its part, through torch.distributed.checkpoint.

A checkpoint is a folder: the tensors in files of the processes, what holds them together in ``structure.pt``, and
checksums of all of these. It is written aside and renamed, so a folder with the name of a checkpoint is whole. Any
number of processes reads it.
"""

import contextlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from vistok.workbench.run.files import (
    DamagedFileError,
    flush_folder,
    read_json,
    sha256,
    write_atomically,
    written_aside,
)
from vistok.workbench.run.nested_state import Place, mapped
from vistok.workbench.run.processes import gathered, own_place

STRUCTURE = "structure.pt"
CHECKSUMS = "checksums.json"


def write_sharded(folder: Path, state: dict[str, Any]) -> None:
    """Write a state whose tensors may be divided among the processes; all of them call this with theirs.

    Of a tensor that is whole on each process, the first one's is written.

    Args:
        folder: The checkpoint; there is nothing at its place, or something that is replaced.
        state: Nested dictionaries and lists.
    """
    first = own_place() == 0
    partial = folder.with_name(f".{folder.name}.partial")
    if first:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    gathered(None)  # nobody writes before the folder is there
    tensors: dict[str, Any] = {}

    def kept(place: Place, tensor: Tensor) -> Tensor:
        tensors[_key(place)] = tensor.detach()
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")

    structure = mapped(state, kept)
    with _plain_errors():
        planner = DefaultSavePlanner(dedup_save_to_lowest_rank=True)
        save(tensors, storage_writer=FileSystemWriter(partial), planner=planner)
    if first:
        with written_aside(partial / STRUCTURE) as file:
            torch.save(structure, file)
    own = [path for path in sorted(partial.iterdir()) if _writer(path) == own_place()]
    sums = gathered({path.name: sha256(path) for path in own})
    if first:
        every = {name: digest for part in sums for name, digest in part.items()}
        write_atomically(partial / CHECKSUMS, json.dumps(every))
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one, which this run has passed over
        os.replace(partial, folder)
        flush_folder(folder.parent)
    gathered(None)


def read_sharded(folder: Path, like: Callable[[Place, torch.Size], Tensor | None]) -> dict[str, Any]:
    """Read a state; all processes call this, however many wrote it.

    Args:
        folder: The checkpoint.
        like: The tensor that one is to be like, divided and in memory, by its place in the state and its size; none:
            it is whole, and contiguous.

    Raises:
        DamagedFileError: A file is not what was written; all processes find the same.
    """
    _verify(folder)
    structure = torch.load(folder / STRUCTURE, weights_only=True)
    tensors: dict[str, Tensor] = {}

    def made(place: Place, tensor: Tensor) -> Tensor:
        pattern = like(place, tensor.shape)
        empty = torch.empty(tensor.shape) if pattern is None else torch.empty_like(pattern)
        tensors[_key(place)] = empty.to(tensor.dtype)
        return tensors[_key(place)]

    state: dict[str, Any] = mapped(structure, made)
    with _plain_errors():
        load(tensors, storage_reader=FileSystemReader(folder))
    return state


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """What went wrong on any process as an ordinary error; no warning that a process is alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except CheckpointException as error:
        rank, (reason, _) = next(iter(error.failures.items()))
        raise RuntimeError(f"process {rank}: {reason}") from error


def _verify(folder: Path) -> None:
    """Check the files' checksums, each process some of them."""
    count, problem = len(gathered(None)), None
    try:
        sums = read_json(folder / CHECKSUMS, STRUCTURE)
        own = sorted(sums)[own_place() :: count]
        changed = [name for name in own if sha256(folder / name) != sums[name]]
        problem = f"{changed[0]} is damaged" if changed else None
    except (OSError, ValueError) as error:
        problem = str(error)
    for found in gathered(problem):
        if found is not None:
            raise DamagedFileError(found)


def _key(place: Place) -> str:
    return "/".join(map(str, place))


def _writer(path: Path) -> int:
    """The process that wrote a file: its name begins with the number, where it is not the first one's."""
    number = path.name.split("_")[2] if path.name.startswith("__") else "0"
    return int(number)
