"""Training checkpoints that a crash, a kill, a full disk or a damaged one cannot spoil a run with.

They are what ``torch.save`` writes, followed by a checksum that it passes over: written aside, flushed, renamed, and
checked when loaded. Of a training whose weights are divided among processes, a checkpoint is a folder
(:mod:`vistok.workbench.run.sharded_checkpoint`); the newest one counts, of whichever kind.
"""

import contextlib
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from vistok.workbench.run.files import DamagedFileError, NoSpaceError, written_aside
from vistok.workbench.run.nested_state import Place
from vistok.workbench.run.processes import beside, own_place

logger = logging.getLogger(__name__)

_MARK = b"\nvistok-sha256:"
_SIGNED = "vistok-sha256"  # an entry of the state that says that there is a checksum
_LONGEST_REASON = 240
_KEPT = 2  # checkpoints: where the newest one is damaged, there is another
_TRAILER = len(_MARK) + 64  # the mark and the digest of all before it

_NAME = re.compile(r"step-(\d{9})(\.pt)?")

Like = Callable[[Place, torch.Size], Tensor | None]
"""The tensor that one of a state is like, divided and in memory, by its place and size; none where it is whole."""


def _whole(place: Place, size: torch.Size) -> None:
    """No tensor is divided."""


class CheckpointError(RuntimeError):
    """A checkpoint could not be written or read; the message names the file."""


def checkpoint_path(folder: Path, step: int) -> Path:
    """The file of one step."""
    return folder / f"step-{step:09d}.pt"


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], *, keep: int = _KEPT) -> Path:
    """Write ``state`` as the checkpoint of ``step``, atomically, and drop all but the newest ``keep``.

    At every moment the folder holds only whole checkpoints: the new one is written under another name in the same
    folder, flushed to the disk, and renamed.

    Raises:
        ValueError: ``keep`` is below 2 (a truncated newest one must leave another).
        CheckpointError: The file cannot be written, for example on a full disk; earlier checkpoints are untouched.
    """
    if keep < 2:
        raise ValueError(f"keep: expected at least 2, got {keep}")
    folder.mkdir(parents=True, exist_ok=True)
    _remove(folder.glob(".step-*.partial"))
    path = checkpoint_path(folder, step)
    try:
        with written_aside(path, size=_size(state)) as file:
            digesting: Any = _Digesting(file)
            try:
                torch.save({**state, _SIGNED: True}, digesting)
            except RuntimeError as error:  # the archive's writer hides what went wrong below it
                raise digesting.error or error from error
            file.write(_MARK + digesting.digest.hexdigest().encode())
    except NoSpaceError as error:
        raise CheckpointError(f"{error}; earlier checkpoints are intact") from error
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: could not be written ({error}); earlier checkpoints are intact") from error
    _keep_newest(folder, keep)
    return path


def save_sharded_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """As :func:`save_checkpoint` of a state that is divided among processes, as a folder; all of them call this.

    Raises:
        CheckpointError: It cannot be written; earlier checkpoints are untouched.
    """
    from vistok.workbench.run.sharded_checkpoint import write_sharded

    path = _sharded_path(folder, step)
    with _failure_told(path):
        write_sharded(path, state)
    _settle(folder)


def begin_sharded_checkpoint(folder: Path, step: int, state: dict[str, Any], group: Any) -> Future[None]:
    """As :func:`save_sharded_checkpoint` of a copy of the state, which is written while the training goes on.

    At most one of them at a time. Until all is written and flushed, the folder holds the earlier checkpoints alone.

    Args:
        folder: Where the checkpoints are.
        step: That of the state.
        state: May change as soon as this has returned.
        group: Of :func:`vistok.workbench.run.processes.group_beside`.

    Returns:
        What is done once it is a checkpoint; its ``result()`` raises :class:`CheckpointError` where that cannot be.
    """
    from vistok.workbench.run.sharded_checkpoint import begin_sharded

    path = _sharded_path(folder, step)
    with _failure_told(path):
        finish = begin_sharded(path, state, group)

    def written() -> None:
        with _failure_told(path):
            finish()
        _settle(folder)

    return beside(written)


def _sharded_path(folder: Path, step: int) -> Path:
    return folder / checkpoint_path(folder, step).stem


@contextlib.contextmanager
def _failure_told(path: Path) -> Iterator[None]:
    """What the processes met, of any kind, in one; nothing is left aside."""
    try:
        yield
    except Exception as error:
        if own_place() == 0:
            _remove(path.parent.glob(".step-*.partial"))
        reason = " ".join(str(error).split())[-_LONGEST_REASON:]
        raise CheckpointError(f"{path}: could not be written ({reason}); earlier checkpoints are intact") from error


def _settle(folder: Path) -> None:
    """Once a checkpoint is in its place: nothing lies aside, and what is older goes."""
    if own_place() == 0:
        _remove(folder.glob(".step-*.partial"))
        _keep_newest(folder, _KEPT)


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder, of both kinds, in the order of their steps."""
    return sorted((path for path in folder.glob("step-*") if is_checkpoint(path)), key=step_of)


def is_checkpoint(path: Path) -> bool:
    """Whether a path is a checkpoint's by its name: a file, or a folder that several processes wrote."""
    return _NAME.fullmatch(path.name) is not None and (path.suffix == ".pt") == path.is_file()


def step_of(path: Path) -> int:
    """The step that a checkpoint's name states."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path}: expected a name like step-000000100.pt")
    return int(match.group(1))


def load_latest_checkpoint(folder: Path, like: Like = _whole) -> tuple[int, dict[str, Any]] | None:
    """The newest readable checkpoint by step, as ``(step, state)``; ``None`` if the folder holds none at all.

    A file that is cut off, or whose content does not match its checksum, is reported by name and the one before it is
    used. Files without a checksum load unchecked.

    Args:
        folder: Where the checkpoints are.
        like: How tensors are divided among the processes, which then all call this, and lie in memory, where several
            processes wrote them; by default all are whole.

    Raises:
        CheckpointError: There are checkpoints, but none can be read.
    """
    paths = list_checkpoints(folder)
    for path in reversed(paths):
        try:
            return step_of(path), load_checkpoint(path, like)
        except CheckpointError as error:
            logger.warning("%s; trying the checkpoint before it", error)
    if paths:
        raise CheckpointError(f"{folder}: none of its {len(paths)} checkpoints can be read")
    return None


def load_checkpoint(path: Path, like: Like = _whole) -> dict[str, Any]:
    """The state of one checkpoint, checked against its checksums; ``like`` as of :func:`load_latest_checkpoint`.

    Raises:
        CheckpointError: It is not there, cut off, or its content does not match its checksum.
    """
    try:
        return _load_sharded(path, like) if path.is_dir() else _load(path)
    except Exception as error:  # damaged bytes make the reader fail in ways that it does not enumerate
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} cannot be read ({reason})") from error


def _load_sharded(path: Path, like: Like) -> dict[str, Any]:
    from vistok.workbench.run.sharded_checkpoint import read_sharded  # half a second of every command, if at the top

    return read_sharded(path, like)


def _load(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        begin = max(file.seek(0, os.SEEK_END) - _TRAILER, 0)
        file.seek(begin)
        end = file.read()
        place = end.rfind(_MARK)
        if place >= 0 and _digest(file, begin + place) != end[place + len(_MARK) :]:
            raise DamagedFileError("damaged, its content does not match its checksum")
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise DamagedFileError(f"expected a dictionary, got {type(state).__name__}")
    if state.pop(_SIGNED, False) and place < 0:
        raise DamagedFileError("damaged, the checksum at its end is gone")
    return state


def _digest(file: IO[bytes], length: int) -> bytes:
    """The digest of the first bytes of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    file.seek(0)
    while length > 0 and (chunk := file.read(min(length, 1 << 20))):
        digest.update(chunk)
        length -= len(chunk)
    return digest.hexdigest().encode()


class _Digesting:
    """A file being written that keeps the digest of what went through it, and the error that stopped it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.name, self.digest = file, file.name, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _keep_newest(folder: Path, keep: int) -> None:
    _remove(list_checkpoints(folder)[:-keep])


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _size(state: Any) -> int:
    """How many bytes the tensors of a state take, at the least."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    parts = state.values() if isinstance(state, Mapping) else state if isinstance(state, list | tuple) else ()
    return sum(_size(part) for part in parts)
