"""Open an image folder, Parquet files, tar archives or a hub data set as tables of undecoded images."""

import contextlib
import difflib
import hashlib
import logging
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from vistok.workbench.data._columns import find_image_column, find_label_column

logger = logging.getLogger(__name__)

_VALIDATION_NAMES = ("validation", "valid", "val", "dev", "test")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_FILE_SUFFIXES = (".parquet", ".tar", ".gz", ".tgz", ".zip", ".csv", ".json", ".jsonl", ".jpg", ".jpeg", ".png")
_EXPECTED = "expected 'digits', 'openmoji', a folder of images, Parquet or tar files, such a file, or a hub id org/name"


class Table(NamedTuple):
    """Rows of one split: ``rows[i][image_column]`` is ``{"bytes": …, "path": …}``, not decoded."""

    rows: Any
    image_column: str
    label_column: str | None
    #: The class names that the data set itself declares, if it does.
    declared_classes: tuple[str, ...] | None
    split: str
    root: Path | None
    attribution: str = ""

    def source(self, index: int) -> bytes | str:
        """The content of an image where the table holds it, else its path."""
        entry = self._entry(index)
        if entry["bytes"] is None and entry["path"] is None:
            raise ValueError("unreadable image: the table holds none")
        source: bytes | str = entry["bytes"] if entry["bytes"] is not None else entry["path"]
        return source

    def item_name(self, index: int) -> str:
        """Path of an image below the data set's folder where it has one, else split and row."""
        entry = self._entry(index)
        if entry["path"] is None or (entry["bytes"] is not None and self.root is None):
            return f"{self.split}[{index}]"
        path = Path(entry["path"])
        if self.root is not None and path.is_relative_to(self.root):
            return path.relative_to(self.root).as_posix()
        return f"{self.split}[{index}] {path.name}"

    def split_key(self, index: int) -> bytes:
        """What decides the side of the split: content where the table holds it, else the path below the folder."""
        content = self._entry(index)["bytes"]
        return hashlib.sha256(content if content is not None else self.item_name(index).encode()).digest()

    def _entry(self, index: int) -> dict[str, Any]:
        """The image's cell; an empty one where it is null or a damaged file makes it unreadable."""
        try:
            entry = self.rows[index][self.image_column]
        except Exception:  # the library lets errors of every file format through
            entry = None
        return entry if entry is not None else {"bytes": None, "path": None}


def open_tables(
    source: str, *, image_column: str | None = None, label_column: str | None = None, cache_dir: str | None = None
) -> tuple[Table, Table | None]:
    """Training and validation tables; the second is ``None`` where the source has no such split.

    Args:
        source: As in :func:`vistok.workbench.data.load_images`.
        image_column: Which column holds the images; ``None`` to find it.
        label_column: Which column holds the labels, ``"none"`` for no labels; ``None`` to find it.
        cache_dir: Where the data-set library keeps its tables.

    Raises:
        ValueError: In one line, when the source is neither here nor to be had from the hub, or a column is missing.
    """
    import datasets

    path = local_path(source)
    try:
        if path is None:
            splits = _open_hub(datasets, source, cache_dir)
        elif path.is_dir():
            splits = _open_folder(datasets, path, cache_dir)
        else:
            splits = datasets.load_dataset(_file_format(path), data_files={"train": [str(path)]}, cache_dir=cache_dir)
    except Exception as error:  # the library lets errors of every client and file format through
        kind = "is no file or folder here and could not be had from the hub" if path is None else "could not be read"
        raise ValueError(f"data {source!r:.200} {kind}: {_reason(error)}") from error
    root = path if path is not None and path.is_dir() else None
    try:
        return _tables(datasets, splits, root, image_column, label_column)
    except Exception as error:  # a column that cannot be images, values that a damaged file makes unreadable
        raise ValueError(f"data {source!r:.200}: {_reason(error)}") from error


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


def signature(source: str) -> tuple[int, int, int]:
    """Number, bytes and newest time of the files of a source here: what changes when somebody changes it."""
    path = local_path(source)
    if path is None:
        return (0, 0, 0)
    count, size, newest = 1, path.stat().st_size, path.stat().st_mtime_ns
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):  # a link to nowhere, a file that is gone by now
                state = os.stat(os.path.join(folder, name))
                count, size, newest = count + 1, size + state.st_size, max(newest, state.st_mtime_ns)
    return count, size, newest


def _open_hub(datasets: Any, source: str, cache_dir: str | None) -> Any:
    """A hub data set; one that is neither there nor here already is an error at once, without retries."""
    import huggingface_hub

    kept = [
        Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / source.replace("/", "___"),
        Path(huggingface_hub.constants.HF_HUB_CACHE) / f"datasets--{source.replace('/', '--')}",
    ]
    if not any(folder.exists() for folder in kept):
        huggingface_hub.HfApi().dataset_info(source, timeout=20)
    return datasets.load_dataset(source, cache_dir=cache_dir)


def _open_folder(datasets: Any, folder: Path, cache_dir: str | None) -> Any:
    for builder, pattern in (("parquet", "*.parquet"), ("webdataset", "*.tar")):
        files: dict[str, list[str]] = {}
        for file in sorted(folder.rglob(pattern)):
            parts = file.relative_to(folder).parts
            names = ("train", *_VALIDATION_NAMES)
            split = next((name for name in names if any(part.startswith(name) for part in parts)), "train")
            files.setdefault(split, []).append(str(file))
        if files:
            return datasets.load_dataset(builder, data_files=files, cache_dir=cache_dir)
    try:
        return datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache_dir)
    except Exception:
        if any(file.suffix.lower() in Image.registered_extensions() for file in folder.rglob("*")):
            raise
        raise ValueError("the folder holds neither images nor .parquet nor .tar files") from None


def _file_format(path: Path) -> str:
    if path.suffix == ".tar":
        return "webdataset"
    with path.open("rb") as file:
        if path.suffix != ".parquet" and file.read(4) != b"PAR1":
            raise ValueError(f"a file that is neither Parquet nor .tar; {_EXPECTED}")
    return "parquet"


def _tables(
    datasets: Any, splits: Any, root: Path | None, image_column: str | None, label_column: str | None
) -> tuple[Table, Table | None]:
    train_name = "train" if "train" in splits else next(iter(splits))
    rows = splits[train_name]
    image_column = find_image_column(datasets, rows.features, image_column)
    label_column, remark = find_label_column(datasets, rows, label_column, image_column)
    logger.log(logging.INFO if label_column else logging.WARNING, "data: %s", remark)
    train = _table(datasets, rows, train_name, root, image_column, label_column)
    for name in _VALIDATION_NAMES:
        if name in splits and name != train_name:
            table = _table(datasets, splits[name], name, root, image_column, label_column)
            if _has_labels(table) or not _has_labels(train):
                return train, table
            logger.warning("data: split %s is not used, since none of its images has a label", name)
    return train, None


def _table(
    datasets: Any, rows: Any, split: str, root: Path | None, image_column: str, label_column: str | None
) -> Table:
    classes = rows.features.get(label_column)
    declared = tuple(classes.names) if isinstance(classes, datasets.ClassLabel) else None
    rows = rows.cast_column(image_column, datasets.Image(decode=False))
    return Table(rows, image_column, label_column if classes is not None else None, declared, split, root)


def _has_labels(table: Table) -> bool:
    if table.label_column is None:
        return False
    missing = (None, -1) if table.declared_classes is not None else (None,)
    return any(value not in missing for value in table.rows[table.label_column])


def _reason(error: BaseException) -> str:
    """The first line of what went wrong at the bottom of it, not too long."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return "".join(character if character.isprintable() else "?" for character in line)
