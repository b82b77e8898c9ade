"""Files that a crash, a kill or a full disk cannot spoil: written aside, flushed to the disk, then renamed."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from vistok.workbench.config import ConfigError

_LONGEST = 480  # of what damaged names and values can make of a message
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_FOLDER_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)  # some network file systems


class DamagedFileError(ValueError):
    """A file is cut off, changed or not what it should be; the message begins with its path and is one short line."""

    def __init__(self, message: str) -> None:
        line = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in message)
        super().__init__(line if len(line) <= _LONGEST else line[: _LONGEST - 4] + " ...")


class NoSpaceError(OSError):
    """A file did not fit; the message names it, the device and the space needed. What was there before is kept."""

    def __str__(self) -> str:
        return str(self.args[1])


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a whole file or leave the old one: no reader ever sees half of it.

    Raises:
        NoSpaceError: The device is full; the old file, if there was one, is untouched.
    """
    payload = data.encode() if isinstance(data, str) else data
    with written_aside(path, size=len(payload)) as file:
        file.write(payload)


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Read a JSON object that has at least the given keys.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedFileError: It is no JSON, no object, or lacks a key; the message names the file.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path}: damaged or no JSON ({error})") from None
    if not isinstance(values, dict):
        raise DamagedFileError(f"{path}: expected a JSON object, got {type(values).__name__}")
    missing = [key for key in keys if key not in values]
    if missing:
        raise DamagedFileError(f"{path}: has no {', '.join(missing)}")
    return values


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def written_aside(path: Path, *, size: int | None = None) -> Iterator[IO[bytes]]:
    """Open a file beside ``path``, and put it in its place once the block has ended well.

    It is flushed to the disk before it is renamed, and the folder after that; its mode is the ordinary one under the
    process's umask. A block that raises leaves nothing behind.

    Args:
        path: The file; folders are made.
        size: How many bytes will be written, where known, for the error of a full disk.

    Raises:
        NoSpaceError: The device, a quota or a limit has no room for the file.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with full_is_told(path, size):
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
            flush_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(target: Path, *, replaces: bool = False) -> Iterator[Path]:
    """A folder to write into that takes the place of ``target`` at the end; after an error nothing is left of it.

    Args:
        target: Where it will be.
        replaces: Whether what is there goes, once the new one is written.

    Raises:
        ConfigError: ``target`` holds something, and nothing says that it goes.
    """
    if not replaces and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target}: expected a new or empty folder, got one that holds something")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield aside
        aside.chmod(0o755)
        if replaces:
            shutil.rmtree(target, ignore_errors=True)
        os.replace(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def full_is_told(path: Path, size: int | None = None) -> Iterator[None]:
    """Turn the error of a device, a quota or a limit without room for ``size`` bytes into :class:`NoSpaceError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL or isinstance(error, NoSpaceError):
            raise
        raise _no_space(path, size, error) from error


def _no_space(path: Path, size: int | None, error: OSError) -> NoSpaceError:
    needed = "more" if size is None else f"{size:,} bytes"
    kept = "; the file that was there is untouched" if path.exists() else ""
    if error.errno == errno.EFBIG:
        text = f"{path}: larger than a file may be here, needed {needed}{kept}"
    else:
        folder = next(place for place in (path.parent, *path.parent.parents, Path()) if place.exists())
        free = shutil.disk_usage(folder).free
        text = f"{path}: no space left on {_device(folder)}, needed {needed}, {free:,} bytes are free{kept}"
    return NoSpaceError(error.errno, text)


def flush_folder(folder: Path) -> None:
    """Make a rename itself durable, where the platform lets a folder be flushed."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise
    finally:
        os.close(handle)


def _device(folder: Path) -> str:
    """The mounted device that a folder lies on, with where it is mounted."""
    place = folder.resolve()
    while not os.path.ismount(place) and place != place.parent:
        place = place.parent
    with contextlib.suppress(OSError):
        for line in reversed(Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines()):
            device, mounted, *_ = line.split()
            if mounted == str(place):
                return f"{device} ({place})"
    return str(place)
