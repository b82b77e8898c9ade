"""Open an image folder, Parquet files, tar archives or a hub data set as tables of undecoded images."""

import contextlib
import difflib
import functools
import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from vistok.workbench.data._declared_classes import check_declared_classes
from vistok.workbench.data._image_folders import contents, open_image_folder, shown_files, split_of
from vistok.workbench.data._parquet_shards import parquet_schema
from vistok.workbench.data._streams import Shards, open_shards, shard_addresses
from vistok.workbench.data._table import Table, make_tables
from vistok.workbench.data._tar_archives import is_pattern, matching_archives, matching_files, open_archives

FileT = TypeVar("FileT", str, Path)

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_FILE_SUFFIXES = (".parquet", ".tar", ".gz", ".tgz", ".zip", ".csv", ".json", ".jsonl", ".jpg", ".jpeg", ".png")
_SAVED = {  # what ``save_to_disk`` leaves of a data set, and of one of several splits: what writes it as Parquet
    "dataset_info.json": "load_from_disk(...).to_parquet(...)",
    "dataset_dict.json": 'for split, rows in load_from_disk(...).items(): rows.to_parquet(f"folder/{split}-0.parquet")',
}
_EXPECTED = "expected 'digits', 'openmoji', a folder of images, Parquet or tar files, such a file, or a hub id org/name"


class Place(NamedTuple):
    """Where a source is: a pattern of archives, a folder or file here, or else on the hub."""

    is_pattern: bool
    path: Path | None


def locate(source: str, *, streaming: bool = False) -> Place:
    """Where a source is; anything with an address or a ``*`` is a pattern where it is streamed.

    Raises:
        ValueError: It is neither a pattern nor a path nor has the form of a hub id.
    """
    if is_pattern(source) or (streaming and ("://" in source or "*" in source or "{" in source)):
        return Place(True, None)
    return Place(False, local_path(source))


def open_tables(
    source: str,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    cache_dir: str | None = None,
    streaming_limit: int | None = None,
) -> tuple[Table, Table | None]:
    """Training and validation tables; the second is ``None`` where the source has no such split.

    Args:
        source: As in :func:`vistok.workbench.data.load_images`.
        image_column: Which column holds the images; ``None`` to find it.
        label_column: Which column holds the labels, ``"none"`` for no labels; ``None`` to find it.
        cache_dir: Where the data-set library keeps its tables.
        streaming_limit: Bytes that shards may take on this machine, where they are fetched as they are needed.

    Raises:
        ValueError: In one line, when the source is neither here nor to be had from the hub, or a column is missing.
    """
    import datasets

    place = locate(source, streaming=streaming_limit is not None)
    shards: dict[str, Shards] = {}
    in_archives = True
    try:
        if streaming_limit is not None:
            files = _shards_by_split(datasets, source, place)
            opened = {split: open_shards(datasets, each, cache_dir, streaming_limit) for split, each in files.items()}
            splits: Any = {split: rows for split, (rows, _) in opened.items()}
            shards = {split: held for split, (_, held) in opened.items()}
        elif place.path is not None:
            splits, in_archives = _open_files(datasets, place.path, cache_dir)
        elif place.is_pattern:
            archives = _by_split(matching_archives(source, cache_dir), None)
            splits = {split: open_archives(datasets, files, cache_dir) for split, files in archives.items()}
        else:
            splits, in_archives = _open_hub(datasets, source, cache_dir), False
    except Exception as error:  # the library lets errors of every client and file format through
        from_hub = place == Place(False, None)
        kind = "is no file or folder here and could not be had from the hub" if from_hub else "could not be read"
        raise ValueError(f"data {source!r:.200} {kind}: {_reason(error)}") from error
    root = place.path if place.path is not None and place.path.is_dir() else None
    try:
        return make_tables(splits, root, image_column, label_column, in_archives=in_archives, shards=shards)
    except Exception as error:  # a column that cannot be images, values that a damaged file makes unreadable
        raise ValueError(f"data {source!r:.200}: {_reason(error)}") from error


@functools.lru_cache(maxsize=1)
def open_tables_as_of(
    source: str,
    image_column: str | None,
    label_column: str | None,
    cache_dir: str | None,
    streaming_limit: int | None,
    folder: Path,
    state: tuple[int, int, int],
) -> tuple[Table, Table | None]:
    """:func:`open_tables`, once; ``folder`` and ``state`` tell calls apart between which the source changed."""
    return open_tables(
        source,
        image_column=image_column,
        label_column=label_column,
        cache_dir=cache_dir,
        streaming_limit=streaming_limit,
    )


def local_path(source: str) -> Path | None:
    """The file or folder that ``source`` names, or ``None`` for the id of a hub data set.

    Raises:
        ValueError: It is neither: only what has the form ``org/name`` and is no path of this machine goes to the hub.
    """
    path = Path(source).expanduser() if source.strip() else None
    try:
        if path is not None and path.exists():
            return path.resolve()
        beside = [item.name for item in path.parent.iterdir()] if path is not None and path.parent.is_dir() else []
    except (OSError, ValueError) as error:  # no permission, too long, a null byte
        raise ValueError(f"data {source!r:.200} could not be read: {_reason(error)}") from None
    starts_here = path is not None and str(path.parent) != "." and path.parent.is_dir()
    if _HUB_ID.fullmatch(source) and not starts_here and not source.lower().endswith(_FILE_SUFFIXES):
        return None
    near = difflib.get_close_matches(path.name, beside, n=1) if path is not None else []
    hint = f" (near: {path.parent / near[0]})" if near and path is not None else ""
    raise ValueError(f"data {source!r:.200} is no file or folder here{hint}; {_EXPECTED}")


def signature(source: str, *, streaming: bool = False) -> tuple[int, int, int]:
    """Number, bytes and newest time of the files of a source here: what changes when somebody changes it."""
    place = locate(source, streaming=streaming)
    if place.is_pattern:
        return _state_of(matching_files(source))
    if place.path is None:
        return (0, 0, 0)
    below = shown_files(place.path) if place.path.is_dir() else []
    return _state_of([place.path, *(f"{place.path}/{name}" for name in below)])


def _state_of(paths: Iterable[str | Path]) -> tuple[int, int, int]:
    count, size, newest = 0, 0, 0
    for path in paths:
        with contextlib.suppress(OSError):  # a link to nowhere, a file that is gone by now
            state = os.stat(path)
            count, size, newest = count + 1, size + state.st_size, max(newest, state.st_mtime_ns)
    return count, size, newest


def _shards_by_split(datasets: Any, source: str, place: Place) -> dict[str, list[str]]:
    if place == Place(False, None):
        _check_hub(source)
        files = datasets.load_dataset_builder(source).config.data_files or {}
        found = {str(split): [str(file) for file in each] for split, each in files.items()}
    else:
        found = _by_split(shard_addresses(source, place.path), place.path)
    if not found:
        raise ValueError("a stream needs Parquet or .tar files, found none")
    return found


def _check_hub(source: str) -> None:
    """Ask the hub once whether a data set is there: the library would try again and again."""
    import huggingface_hub

    huggingface_hub.HfApi().dataset_info(source, timeout=20)


def _open_hub(datasets: Any, source: str, cache_dir: str | None) -> Any:
    """A hub data set; one that is neither there nor here already is an error at once, without retries."""
    import huggingface_hub

    kept = [
        Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / source.replace("/", "___"),
        Path(huggingface_hub.constants.HF_HUB_CACHE) / f"datasets--{source.replace('/', '--')}",
    ]
    if not any(folder.exists() for folder in kept):
        _check_hub(source)
    return datasets.load_dataset(source, cache_dir=cache_dir)


def _open_files(datasets: Any, path: Path, cache_dir: str | None) -> tuple[Any, bool]:
    """A file or folder here by split, and whether its images lie in tar archives."""
    files = [path]
    if path.is_dir():
        found = contents(path)
        if found.images:
            return open_image_folder(datasets, path, found, cache_dir), False
        files = sorted(path / name for name in found.parquet or found.tar)
    if not files:
        written = next((how for name, how in _SAVED.items() if (path / name).exists()), "")
        hint = f"; what save_to_disk wrote is read after {written}" if written else ""
        raise ValueError(f"the folder holds neither images nor .parquet nor .tar files{hint}")
    splits = _by_split(files, path)
    if files[0].suffix.lower() == ".tar":
        return {split: open_archives(datasets, each, cache_dir) for split, each in splits.items()}, True
    if path.is_file():
        _check_parquet(path)
    check_declared_classes((str(file), parquet_schema(file)) for each in splits.values() for file in each)
    names = {split: [glob.escape(str(file)) for file in each] for split, each in splits.items()}
    return datasets.load_dataset("parquet", data_files=names, cache_dir=cache_dir), False


def _by_split(files: Sequence[FileT], folder: Path | None) -> dict[str, list[FileT]]:
    """Files by the split that a folder below the given one that they lie in, or else they are called after."""
    splits: dict[str, list[FileT]] = {}
    for file in files:
        path = Path(file)
        parts = (path.name,) if folder is None or folder == path else path.relative_to(folder).parts
        split = next(filter(None, map(split_of, parts)), "train")
        splits.setdefault(split, []).append(file)
    return splits


def _check_parquet(path: Path) -> None:
    with path.open("rb") as file:
        if path.suffix != ".parquet" and file.read(4) != b"PAR1":
            raise ValueError(f"a file that is neither Parquet nor .tar; {_EXPECTED}")


def _reason(error: BaseException) -> str:
    """The first line of what went wrong at the bottom of it, not too long."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return "".join(character if character.isprintable() else "?" for character in line)
