"""Data sets larger than the disk: an index of all shards, which are fetched when a batch needs them."""

import hashlib
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import torch
from filelock import FileLock
from torch import Tensor

from vistok.workbench.data._declared_classes import check_declared_classes
from vistok.workbench.data._parquet_shards import parquet_index
from vistok.workbench.data._shard_store import Fetcher, ShardStore
from vistok.workbench.data._tar_archives import counted, joined, tar_index
from vistok.workbench.data.shard_order import LANES
from vistok.workbench.progress import progress

_KINDS = (".parquet", ".tar")
_FORMAT = 3  # of an index; one of another is not looked at
_INDEXED_AT_ONCE = 8


@dataclass(frozen=True)
class Shards:
    """The shards of a table, whose rows come shard after shard.

    Args:
        store: Where they are fetched to.
        addresses: Of each.
        sizes: Rows of each.
    """

    store: ShardStore
    addresses: tuple[str, ...]
    sizes: tuple[int, ...]

    def of(self, rows: Sequence[int]) -> "Shards":
        """The same with so many of the rows as are named, which come in order."""
        places = torch.bucketize(torch.tensor(rows, dtype=torch.int64), self._ends(), right=True)
        return replace(self, sizes=tuple(places.bincount(minlength=len(self.sizes)).tolist()))

    def holding(self, indices: Tensor) -> list[str]:
        """The addresses of the shards that hold these rows."""
        return [self.addresses[n] for n in torch.bucketize(indices, self._ends(), right=True).unique().tolist()]

    def fetcher(self) -> Fetcher:
        """What fetches shards in the background."""
        return Fetcher(self.store)

    def _ends(self) -> Tensor:
        return torch.tensor(self.sizes).cumsum(0)


def shard_addresses(source: str, path: Path | None) -> list[str]:
    """Addresses of the shards of a file or folder, Parquet before tar files, or of a pattern, in order.

    Raises:
        OSError: Nothing matches a pattern.
    """
    if path is None:
        return [address for each in counted(source) for address in _matching(each)]
    if path.is_file():
        return [str(path)]
    found = ([str(file) for file in sorted(path.rglob(f"*{kind}"))] for kind in _KINDS)
    return next(filter(None, found), [])


def open_shards(datasets: Any, addresses: Sequence[str], cache_dir: str | None, limit: int) -> tuple[Any, Shards]:
    """The rows of all shards as a data set, whose images are places, and the shards.

    Each is gone through once: a tar file is fetched for it, and of a Parquet file the columns that hold no images are
    read. What is where is kept in the cache, under the shard's address and what tells that it changed.

    Raises:
        OSError, ValueError: A shard cannot be had or read, or is neither a Parquet nor a tar file, two declare other
            classes, or more room is needed than ``limit``.
    """
    import pyarrow.parquet as pq

    others = [address for address in addresses if not address.endswith(_KINDS)]
    if others:
        raise ValueError(f"a stream needs Parquet or .tar files, found {PurePosixPath(others[0]).name}")
    cache = Path(cache_dir or datasets.config.HF_DATASETS_CACHE)
    store, folder = ShardStore(cache / "shards", limit), cache / "shard_indices"
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_INDEXED_AT_ONCE) as pool:
        states = list(pool.map(_state, addresses))
        indices = [folder / f"{key}.parquet" for key, _ in states]
        _check_room(limit, [size for _, size in states])
        missing = [(address, index) for address, index in zip(addresses, indices, strict=True) if not index.exists()]
        written = pool.map(lambda pair: _write_index(store, *pair), missing)
        deque(progress(written, "indexing shards", unit="shards", total=len(missing), brief=True), maxlen=0)
    tables = [pq.read_table(index, memory_map=True) for index in indices]
    check_declared_classes(zip(addresses, (table.schema for table in tables), strict=True))
    sizes = tuple(table.num_rows for table in tables)
    return joined(datasets, tables), Shards(store, tuple(addresses), sizes)


def _matching(address: str) -> list[str]:
    if "*" not in address:
        return [address]
    files, name = fsspec.core.url_to_fs(address)
    found = sorted(files.glob(name))
    if not found:
        raise FileNotFoundError(f"there is no shard {address}")
    return [str(files.unstrip_protocol(each)) for each in found]


def _state(address: str) -> tuple[str, int]:
    """What the index of a shard is kept under, and its bytes."""
    files, name = fsspec.core.url_to_fs(address)
    size = files.info(name)["size"] or 0
    return hashlib.sha256(f"{_FORMAT}:{address}:{size}:{files.ukey(name)}".encode()).hexdigest()[:32], size


def _check_room(limit: int, sizes: Sequence[int]) -> None:
    """A batch is of as many shards as there are lanes, while their successors are fetched."""
    needed = sum(sorted(sizes, reverse=True)[: 2 * LANES + 1])
    if needed > limit:
        raise ValueError(
            f"data.streaming_gb: expected room for the {2 * LANES + 1} largest shards, {needed / 1e9:.2f} GB, "
            f"got {limit / 1e9:.2f}"
        )


def _write_index(store: ShardStore, address: str, index: Path) -> None:
    """Go through a shard, unless another process has done so by now."""
    import pyarrow.parquet as pq

    def index_of(path: Path) -> Any:
        with path.open("rb") as file:
            return tar_index(file, address)

    with FileLock(f"{index}.lock"):
        if index.exists():
            return
        store.forget(address)  # a copy of what it was before it changed
        if address.endswith(".parquet"):
            with fsspec.open(address, "rb") as file:
                table = parquet_index(file, address)
        else:
            table = store.use(address, index_of)
        partial = index.with_suffix(".part")
        pq.write_table(table, partial)
        os.replace(partial, index)
