"""Tar archives (WebDataset) as tables: an index says where each image lies; the images stay in their archives."""

import contextlib
import glob
import hashlib
import os
import re
import shutil
import tarfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

from vistok.workbench.data._tar_columns import JSON, alike, is_image, json_entries, table_of
from vistok.workbench.progress import progress

_ADDRESS = re.compile(r"https?://")
_COUNTED = re.compile(r"\{(\d+)\.\.(\d+)\}")
_FORMAT = 3  # of an index; one of another is not looked at
_FEW = 8  # archives that are not worth a process each


class Member(NamedTuple):
    """Where a file lies in an archive; as text it is what the table's column of images holds.

    Example:
        >>> Member.of(str(Member("a.tar", "7.jpg", 512, 900)))
        Member(archive='a.tar', name='7.jpg', offset=512, size=900)
    """

    archive: str
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.offset}+{self.size}:{self.name}::{self.archive}"

    @classmethod
    def of(cls, text: str) -> "Member":
        """The member that a text names."""
        place, _, rest = text.partition(":")
        name, _, archive = rest.rpartition("::")
        offset, size = place.split("+")
        return cls(archive, name, int(offset), int(size))

    def read(self, archive: Path | None = None) -> bytes:
        """The file's content, from another copy of the archive if one is named."""
        with open(archive or self.archive, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


def is_pattern(source: str) -> bool:
    """Whether a source is a pattern of archives, ``train-{000..146}.tar`` or ``train-*.tar``, or an address of any."""
    return source.endswith(".tar") and bool(_ADDRESS.match(source) or _COUNTED.search(source) or "*" in source)


def matching_archives(pattern: str, cache_dir: str | None) -> list[Path]:
    """The archives of a pattern: ``{000..146}`` counts, and ``*`` is any part of a name.

    What has an address (``https://…``) comes to the cache first, once.

    Raises:
        FileNotFoundError: An archive that is counted is not here, or none matches.
    """
    names = counted(pattern)
    if _ADDRESS.match(pattern):
        return _downloaded(names, cache_dir)
    found = matching_files(pattern)
    missing = [str(path) for path in found if not path.exists()]
    if missing or not found:
        raise FileNotFoundError(f"there is no archive {missing[0] if missing else pattern}")
    return [path.resolve() for path in found]


def matching_files(pattern: str) -> list[Path]:
    """The files here that a pattern stands for, those that it counts whether they are there or not."""
    return [Path(name) for each in counted(pattern) for name in (sorted(glob.glob(each)) if "*" in each else [each])]


def counted(pattern: str) -> list[str]:
    """All that a pattern with ``{000..146}`` in it stands for."""
    found = _COUNTED.search(pattern)
    if found is None:
        return [pattern]
    first, last = found.groups()
    numbers = range(int(first), int(last) + 1)
    head, tail = pattern[: found.start()], pattern[found.end() :]
    return [name for number in numbers for name in counted(f"{head}{number:0{len(first)}}{tail}")]


def _downloaded(addresses: list[str], cache_dir: str | None) -> list[Path]:
    import datasets

    found = []
    for address in progress(addresses, "fetching archives", unit="archives", brief=True):
        place, _, name = address.rpartition("/")
        folder = Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / "tar_archives"
        path = folder / hashlib.sha256(place.encode()).hexdigest()[:16] / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                _download(address, path)
            except (OSError, HTTPException) as error:
                raise OSError(f"{address}: {error}") from None
        found.append(path)
    return found


def _download(address: str, path: Path) -> None:
    """Copy what has an address to a file, which is there once all of it has come."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with urlopen(Request(address, headers={"User-Agent": "vistok"})) as answer, partial.open("wb") as file:
            shutil.copyfileobj(answer, file)
            length = answer.headers["Content-Length"]
            if length is not None and file.tell() != int(length):
                raise OSError(f"cut off: expected {length} bytes, got {file.tell()}")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def open_archives(datasets: Any, archives: Sequence[Path], cache_dir: str | None) -> Any:
    """The records of archives as a data set: a row a key, a column an ending, in small letters.

    Images are known by their place, not read. Columns of ``.cls`` and ``.txt`` hold the text, whole numbers where all
    are; the entries of a ``.json`` are columns of their own, but for those that are called as an ending is. Columns of
    values of several kinds hold texts. The index of an archive is kept in the cache, under its
    path, size and time of change, so a data set is gone through once.

    Raises:
        OSError, ValueError: An archive cannot be read, is cut off, or holds no images.
    """
    import pyarrow.parquet as pq

    folder = Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / "tar_indices"
    folder.mkdir(parents=True, exist_ok=True)
    indices = [folder / f"{_index_key(archive)}.parquet" for archive in archives]
    missing = [(archive, index) for archive, index in zip(archives, indices, strict=True) if not index.exists()]
    with ProcessPoolExecutor(os.cpu_count()) if len(missing) > _FEW else contextlib.nullcontext() as pool:
        written = (map if pool is None else pool.map)(_write_index, *zip(*missing, strict=True)) if missing else ()
        try:
            deque(progress(written, "indexing archives", unit="archives", total=len(missing), brief=True), maxlen=0)
        except (OSError, ValueError) as error:
            raise error from None  # without the traceback of another process, which would be told in its place
    return joined(datasets, [pq.read_table(index, memory_map=True) for index in indices])


def joined(datasets: Any, tables: Sequence[Any]) -> Any:
    """The rows of several indices as one data set; images are not decoded."""
    import pyarrow as pa

    tables = alike([each for each in tables if each.num_rows] or tables[:1])
    table = pa.concat_tables(tables, promote_options="permissive")
    rows = datasets.Dataset(table)
    for name, feature in rows.features.items():
        if is_image(name) or isinstance(feature, datasets.Image):
            rows = rows.cast_column(name, datasets.Image(decode=False))
    return rows


def _index_key(archive: Path) -> str:
    state = archive.stat()
    return hashlib.sha256(f"{_FORMAT}:{archive}:{state.st_size}:{state.st_mtime_ns}".encode()).hexdigest()[:32]


def _write_index(archive: Path, index: Path) -> None:
    """Go through an archive once and keep what is where."""
    import pyarrow.parquet as pq

    with archive.open("rb") as file:
        table = tar_index(file, str(archive))
    partial = index.with_suffix(f".{os.getpid()}")
    pq.write_table(table, partial)
    os.replace(partial, index)


@contextlib.contextmanager
def _opened(content: Any, archive: str) -> Iterator[tarfile.TarFile]:
    """An archive, whose members are all read within the block: the library takes for its end where it is cut off."""
    try:
        with tarfile.open(fileobj=content, mode="r:") as file:
            yield file
            content.seek(file.offset)
            if (found := content.read(tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
                got = "other bytes" if found else "nothing"
                raise tarfile.ReadError(f"cut off or damaged: expected an end mark at byte {file.offset}, got {got}")
    except tarfile.TarError as error:
        raise ValueError(f"{archive}: {error}") from None


def tar_index(content: Any, archive: str) -> Any:
    """The records of an archive as a table, from its opened file: texts and numbers, and where each image lies.

    Raises:
        ValueError: The archive is cut off or damaged, or a small file in it holds no text; the message names it.
    """
    records: dict[str, dict[str, Any]] = {}
    with _opened(content, archive) as file:
        for member in file:
            folder, _, base = member.name.rpartition("/")
            stem, _, ending = base.partition(".")
            ending = ending.lower()
            if not member.isfile() or not stem or not ending:
                continue
            record = records.setdefault(f"{folder}/{stem}" if folder else stem, {})
            if is_image(ending):
                record[ending] = str(Member(archive, member.name, member.offset_data, member.size))
            elif ending in ("cls", "txt", JSON):
                text = file.extractfile(member)
                record[ending] = _content(ending, b"" if text is None else text.read(), f"{archive}/{member.name}")
    return table_of(list(records.values()))


def _content(ending: str, content: bytes, name: str) -> Any:
    """What a small file beside an image says: a text, or the entries of a JSON; no text is no class."""
    try:
        text = content.decode().strip()
        if ending == JSON:
            return json_entries(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{name} is no {'JSON' if ending == JSON else 'text'}") from None
    return None if ending == "cls" and not text else text
