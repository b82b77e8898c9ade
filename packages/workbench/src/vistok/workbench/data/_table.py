"""Tables of undecoded images: which column is which, which split is which, where an image is and what it is called."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vistok.workbench.data._columns import find_image_column, find_label_column
from vistok.workbench.data._streams import Shards
from vistok.workbench.data._tar_archives import Member
from vistok.workbench.data._tar_columns import one_image_column

logger = logging.getLogger(__name__)

#: Names of splits that are held out, the most usual first.
VALIDATION_NAMES = ("validation", "valid", "val", "dev", "test")


class Table(NamedTuple):
    """Rows of one split: ``rows[i][image_column]`` is ``{"bytes": …, "path": …}``, not decoded."""

    rows: Any
    image_column: str
    label_column: str | None
    #: The class names that the data set itself declares, if it does.
    declared_classes: tuple[str, ...] | None
    split: str
    root: Path | None
    #: Whether paths say where in a tar archive an image lies.
    in_archives: bool = False
    #: What its images are fetched from, if it is a stream.
    shards: Shards | None = None
    attribution: str = ""

    def source(self, index: int) -> bytes | str:
        """The content of an image where the table or an archive holds it, else its path."""
        entry = self._entry(index)
        if entry["bytes"] is None and entry["path"] is None:
            raise ValueError("unreadable image: the table holds none")
        if self.in_archives:
            member = Member.of(entry["path"])
            return member.read() if self.shards is None else self.shards.store.read(member)
        source: bytes | str = entry["bytes"] if entry["bytes"] is not None else entry["path"]
        return source

    def item_name(self, index: int) -> str:
        """Path of an image below the data set's folder where it has one, else split and row."""
        entry = self._entry(index)
        if entry["path"] is None or (entry["bytes"] is not None and self.root is None):
            return f"{self.split}[{index}]"
        if self.in_archives:
            member = Member.of(entry["path"])
            folder = self.root or Path(member.archive).parent
            return (Path(member.archive).relative_to(folder) / member.name).as_posix()
        path = Path(entry["path"])
        if self.root is not None and path.is_relative_to(self.root):
            return path.relative_to(self.root).as_posix()
        return f"{self.split}[{index}] {path.name}"

    def split_key(self, index: int) -> bytes:
        """What decides the side of the split: content where the table holds it, else the path below the folder.

        For an image in an archive it is that of the archive and in it.
        """
        content = self._entry(index)["bytes"]
        return hashlib.sha256(content if content is not None else self.item_name(index).encode()).digest()

    def _entry(self, index: int) -> dict[str, Any]:
        """The image's cell; an empty one where it is null or a damaged file makes it unreadable."""
        try:
            entry = self.rows[index][self.image_column]
        except Exception:  # the library lets errors of every file format through
            entry = None
        return entry if entry is not None else {"bytes": None, "path": None}


def make_tables(
    splits: Any,
    root: Path | None,
    image_column: str | None,
    label_column: str | None,
    *,
    in_archives: bool = False,
    shards: Mapping[str, Shards],
) -> tuple[Table, Table | None]:
    """The training table and, where the splits have one whose images have labels too, the validation table.

    Args:
        splits: Data sets by the name of the split.
        root: The folder that names of images begin at.
        image_column: Which column holds the images; ``None`` to find it.
        label_column: Which one holds the labels, ``"none"`` for no labels; ``None`` to find it.
        in_archives: Whether the images are members of tar archives, or of shards of a stream.
        shards: Those of a stream, by the name of the split.

    Raises:
        ValueError: There is no such column.
    """
    import datasets

    def made(rows: Any, split: str) -> Table:
        classes = rows.features.get(label)
        declared = tuple(classes.names) if isinstance(classes, datasets.ClassLabel) else None
        rows = rows.cast_column(image, datasets.Image(decode=False))
        return Table(
            rows, image, label if classes is not None else None, declared, split, root, in_archives, shards.get(split)
        )

    if in_archives and image_column is None:
        splits = one_image_column(splits)
    train_name = "train" if "train" in splits else next(iter(splits))
    rows = splits[train_name]
    image = find_image_column(datasets, rows.features, image_column)
    label, remark = find_label_column(datasets, rows, label_column, image)
    logger.log(logging.INFO if label else logging.WARNING, "data: %s", remark)
    train = made(rows, train_name)
    for name in VALIDATION_NAMES:
        if name in splits and name != train_name:
            table = made(splits[name], name)
            if _has_labels(table) or not _has_labels(train):
                return train, table
            logger.warning("data: split %s is not used, since none of its images has a label", name)
    return train, None


def _has_labels(table: Table) -> bool:
    if table.label_column is None:
        return False
    missing = (None, -1) if table.declared_classes is not None else (None,)
    return any(value not in missing for value in table.rows[table.label_column])
