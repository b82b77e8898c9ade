"""One process at a time in a run's folder: a lock that the system releases when its holder ends, however it ends."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from vistok.workbench.config import ConfigError

logger = logging.getLogger(__name__)

NAME = ".lock"
_UNSUPPORTED = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}
_held: set[Path] = set()


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; nested calls of one process are one.

    The file names its holder (process and host). One that a killed process left is taken over, with a word in the log.

    Raises:
        ConfigError: Another process holds it; the message names that process and its host.
    """
    path = (folder / NAME).absolute()
    if path in _held:
        yield
        return
    with path.open("a+", encoding="utf-8") as file:
        _acquire(file, folder)
        _held.add(path)
        try:
            yield
        finally:
            _held.discard(path)
            file.truncate(0)  # an empty file says that its last holder ended in order


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder."""
    try:
        with (folder / NAME).open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # nobody ever held it, or there are no locks here
        return False
    return False


def _acquire(file: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"{folder}: {_holder(file)} is working in it; wait for it to end, or use another --name"
        ) from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        logger.warning("%s: this file system has no locks; start no second process in it", folder)
    if file.tell() or os.fstat(file.fileno()).st_size:
        logger.warning("%s: %s ended without releasing it; taken over", folder, _holder(file))
    file.truncate(0)
    json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
    file.flush()


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        record = json.load(file)
        return f"process {record['pid']} on {record['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
