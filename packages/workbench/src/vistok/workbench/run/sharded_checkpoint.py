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
from torch.distributed.checkpoint.state_dict_saver import async_save, save

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
    partial, (structure, tensors) = _folder_aside(folder), _divided(state)
    with _plain_errors():
        save(tensors, storage_writer=FileSystemWriter(partial), planner=_planner())
    _finish(folder, partial, structure, None)


def begin_sharded(folder: Path, state: dict[str, Any], group: Any) -> Callable[[], None]:
    """Take a copy of a state in the CPU's memory and begin to write it; then the state may change.

    Args:
        folder: As of :func:`write_sharded`.
        state: As of :func:`write_sharded`.
        group: Another group of all processes than that of their training, which meet there meanwhile.

    Returns:
        What waits until all is written and then makes it the checkpoint; all call it, each on another thread.
    """
    partial, (structure, tensors) = _folder_aside(folder), _divided(state)
    writer = FileSystemWriter(partial)
    with _plain_errors():
        written: Any = async_save(tensors, storage_writer=writer, planner=_planner(), process_group=group)

    def finish() -> None:
        with _plain_errors():
            written.result()
        _finish(folder, partial, structure, group)

    return finish


def _folder_aside(folder: Path) -> Path:
    """Where the processes write; it is there and empty."""
    partial = folder.with_name(f".{folder.name}.partial")
    if own_place() == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    gathered(None)  # nobody writes before the folder is there
    return partial


def _divided(state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A state without its tensors' values, and the tensors by their places."""
    tensors: dict[str, Any] = {}

    def kept(place: Place, tensor: Tensor) -> Tensor:
        tensors[_key(place)] = tensor.detach()
        return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")

    return mapped(state, kept), tensors


def _planner() -> DefaultSavePlanner:
    return DefaultSavePlanner(dedup_save_to_lowest_rank=True)


def _finish(folder: Path, partial: Path, structure: Any, group: Any) -> None:
    """Put the structure and the checksums beside the tensors, and all of it in its place."""
    first = own_place() == 0
    if first:
        with written_aside(partial / STRUCTURE) as file:
            torch.save(structure, file)
    own = [path for path in sorted(partial.iterdir()) if _writer(path) == own_place()]
    sums = gathered({path.name: sha256(path) for path in own}, group)
    if first:
        every = {name: digest for part in sums for name, digest in part.items()}
        write_atomically(partial / CHECKSUMS, json.dumps(every))
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one, which this run has passed over
        os.replace(partial, folder)
        flush_folder(folder.parent)
    gathered(None, group)


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
