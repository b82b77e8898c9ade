"""Shards of a stream on this machine's disk: fetched when they are needed, given up when others need the room."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from queue import SimpleQueue
from typing import TypeVar

import fsspec
from filelock import FileLock

from vistok.workbench.data._parquet_shards import read_cell, write_cells
from vistok.workbench.data._tar_archives import Member

T = TypeVar("T")

_TRIES = 4
_FETCHED_AT_ONCE = 4


@dataclass(frozen=True)
class ShardStore:
    """Whole shards by their address, of which the least recently used are given up.

    Processes of a machine share a folder: each shard is fetched by one of them.

    Args:
        folder: Where they are kept.
        limit: Bytes that they may take.
    """

    folder: Path
    limit: int

    def read(self, member: Member) -> bytes:
        """The file that a member names, its shard fetched if it is not here.

        Raises:
            OSError: The shard cannot be had.
            ValueError: The shard's table holds no image there.
        """
        read = read_cell if member.archive.endswith(".parquet") else _read_member
        return self.use(member.archive, lambda path: read(path, member))

    def use(self, address: str, of: Callable[[Path], T]) -> T:
        """What a function makes of the copy of a shard that is here, fetched if it is not.

        Raises:
            OSError: The shard cannot be had.
        """
        for _ in range(_TRIES):
            path = self.fetch(address)
            try:
                os.utime(path)
                return of(path)
            except FileNotFoundError:  # given up just now
                continue
        raise OSError(f"{address}: given up while it was read; data.streaming_gb is too small")

    def fetch(self, address: str) -> Path:
        """The copy of a shard that is here; what another process is fetching is waited for.

        Raises:
            OSError: It cannot be had.
        """
        path = self._path(address)
        if path.exists():
            return path
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                partial = path.with_name(f"{path.name}.part")
                try:
                    _download(address, partial)
                    if address.endswith(".parquet"):
                        write_cells(partial, address)
                    self._take_in(partial, path)
                finally:  # on a full disk what is half written takes room that others need
                    partial.unlink(missing_ok=True)
        return path

    def forget(self, address: str) -> None:
        """Give up the copy of a shard."""
        self._path(address).unlink(missing_ok=True)

    def _path(self, address: str) -> Path:
        return self.folder / f"{sha256(address.encode()).hexdigest()[:16]}-{PurePosixPath(address).name}"

    def _take_in(self, partial: Path, path: Path) -> None:
        """Give a file its name, once there is room for it: that of those read least recently."""
        size = partial.stat().st_size
        with FileLock(self.folder / "room.lock"):
            kept = [path for path in self.folder.iterdir() if path.suffix not in (".lock", ".part")]
            states = sorted((path.stat().st_mtime_ns, path.stat().st_size, path) for path in kept)
            total = size + sum(state[1] for state in states)
            for _, freed, oldest in states:
                if total <= self.limit:
                    break
                oldest.unlink()
                total -= freed
            os.replace(partial, path)


def _read_member(path: Path, member: Member) -> bytes:
    return member.read(path)


def _download(address: str, path: Path) -> None:
    """Copy what has an address to a file; tried again after a while where that fails."""
    for left in reversed(range(_TRIES)):
        try:
            files, name = fsspec.core.url_to_fs(address)
            files.get_file(name, str(path))
            return
        except FileNotFoundError:
            raise
        except Exception as error:  # every client has errors of its own
            if not left:
                raise OSError(f"{address} could not be fetched: {error}") from error
            time.sleep(2.0 ** (_TRIES - left))


class Fetcher:
    """Fetches shards in the background, in the order in which they are wanted. Who reads one that failed is told.

    Args:
        store: Where they go.
    """

    def __init__(self, store: ShardStore) -> None:
        self._store = store
        self._wanted: SimpleQueue[str] = SimpleQueue()
        self._under_way: set[str] = set()
        self._closed = False
        # Daemons: a training that ends does not wait for them.
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_FETCHED_AT_ONCE)]
        for thread in self.threads:
            thread.start()

    def want(self, address: str) -> None:
        """Fetch a shard some time."""
        if address not in self._under_way:
            self._under_way.add(address)
            self._wanted.put(address)

    def _work(self) -> None:
        while (address := self._wanted.get()) and not self._closed:
            try:
                os.utime(self._store.fetch(address))
            except OSError:
                pass
            finally:
                self._under_way.discard(address)

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True
        for _ in self.threads:
            self._wanted.put("")
