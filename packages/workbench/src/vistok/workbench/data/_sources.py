"""Open an image folder, Parquet files or a hub data set as tables of undecoded images."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

_VALIDATION_NAMES = ("validation", "valid", "val", "dev", "test")
_IMAGE_COLUMNS = ("image", "img", "jpg", "png", "pixel_values", "picture")
_LABEL_COLUMNS = ("label", "labels", "class", "fine_label", "category")


class Table(NamedTuple):
    """Rows of one split: ``rows[i][image_column]`` is ``{"bytes": …, "path": …}``, not decoded."""

    rows: Any
    image_column: str
    label_column: str | None
    #: The class names that the data set itself declares, if it does.
    declared_classes: tuple[str, ...] | None
    split: str
    root: Path | None

    def source(self, index: int) -> bytes | str:
        """The content of an image where the table holds it, else its path."""
        entry = self.rows[index][self.image_column]
        if entry is None or (entry["bytes"] is None and entry["path"] is None):
            raise ValueError("unreadable image: the table holds none")
        source: bytes | str = entry["bytes"] if entry["bytes"] is not None else entry["path"]
        return source

    def item_name(self, index: int) -> str:
        """Path of an image below the data set's folder where it has one, else split and row."""
        entry = self.rows[index][self.image_column]
        if entry is None or entry["path"] is None or (entry["bytes"] is not None and self.root is None):
            return f"{self.split}[{index}]"
        path = Path(entry["path"])
        if self.root is not None and path.is_relative_to(self.root):
            return path.relative_to(self.root).as_posix()
        return f"{self.split}[{index}] {path.name}"

    def split_key(self, index: int) -> bytes:
        """What decides the side of the split: content where the table holds it, else the path below the folder."""
        entry = self.rows[index][self.image_column]
        content = entry["bytes"] if entry is not None else None
        return hashlib.sha256(content if content is not None else self.item_name(index).encode()).digest()


def open_tables(source: str, *, cache_dir: str | None) -> tuple[Table, Table | None]:
    """Training and validation tables; the second is ``None`` where the source has no such split.

    Raises:
        ValueError: In one line, when the source is neither here nor to be had from the hub, or has no image column.
    """
    import datasets

    path = Path(source).expanduser()
    try:
        if path.is_dir():
            splits = _open_folder(datasets, path.resolve(), cache_dir)
        elif path.is_file():
            splits = datasets.load_dataset("parquet", data_files={"train": [str(path)]}, cache_dir=cache_dir)
        else:
            splits = datasets.load_dataset(source, cache_dir=cache_dir)
    except Exception as error:  # the library lets errors of every client and file format through
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        kind = "could not be read" if path.exists() else "is no file or folder here and could not be had from the hub"
        raise ValueError(f"data {source!r} {kind}: {reason}") from error
    train_name = "train" if "train" in splits else next(iter(splits))
    validation_name = next((name for name in _VALIDATION_NAMES if name in splits and name != train_name), None)
    root = path.resolve() if path.is_dir() else None
    train = _table(datasets, splits[train_name], train_name, root, source)
    if validation_name is None:
        return train, None
    return train, _table(datasets, splits[validation_name], validation_name, root, source)


def _open_folder(datasets: Any, folder: Path, cache_dir: str | None) -> Any:
    parquet = sorted(str(file) for file in folder.rglob("*.parquet"))
    if not parquet:
        return datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache_dir)
    files: dict[str, list[str]] = {}
    for file in parquet:
        relative = Path(file).relative_to(folder).as_posix()
        names = ("train", *_VALIDATION_NAMES)
        split = next((name for name in names if any(part.startswith(name) for part in relative.split("/"))), "train")
        files.setdefault(split, []).append(file)
    return datasets.load_dataset("parquet", data_files=files, cache_dir=cache_dir)


def _table(datasets: Any, rows: Any, split: str, root: Path | None, source: str) -> Table:
    features = rows.features
    typed = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    image_column = next(iter([*typed, *(name for name in _IMAGE_COLUMNS if name in features)]), None)
    if image_column is None:
        raise ValueError(f"data {source!r} has no image column, only {sorted(features)}")
    classes = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    named = [name for name in _LABEL_COLUMNS if name in features]
    label_column = next((name for name in [*(n for n in named if n in classes), *classes, *named]), None)
    declared = tuple(features[label_column].names) if label_column in classes else None
    rows = rows.cast_column(image_column, datasets.Image(decode=False))
    return Table(rows, image_column, label_column, declared, split, root)
