"""One call from a name, a folder, Parquet files or a hub id to training and validation images."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vistok.workbench.data._sources import Table, open_tables
from vistok.workbench.data.digits import load_digits
from vistok.workbench.data.image_set import Images, LazyImageSet
from vistok.workbench.data.resize import decode_image


class ImageSplits(NamedTuple):
    """Training images, and images that training never sees."""

    train: Images
    validation: Images


def load_images(
    source: str | Path | None = None,
    *,
    image_size: int = 32,
    split_seed: int = 0,
    validation_fraction: float = 0.1,
    max_unreadable: int = 20,
    memory_limit: int = 2 << 30,
    cache_dir: str | Path | None = None,
) -> ImageSplits:
    """Load a labelled or unlabelled image data set as square 8-bit images.

    A source with a validation split (or, failing that, a test split) keeps it. Without one, each image goes to a side
    by the hash of ``split_seed`` and its content (of its path below the folder, for image folders): adding images never
    moves another, and equal files in a table stay on one side.

    Args:
        source: ``None`` or ``"digits"`` for the embedded digits (grey); else an image folder (a folder a class), a
            Parquet file or a folder of them (``train-*``, ``validation-*``), or the id of a data set on the hub.
        image_size: Pixels a side; see :func:`resize_and_crop` for how images get there.
        split_seed: Decides the split where the source has none.
        validation_fraction: Expected share of validation images in such a split, between 0 and 1.
        max_unreadable: Images that may be skipped as unreadable, in each split, before an error.
        memory_limit: Bytes of pixels up to which a split is held in memory; beyond, it is decoded on demand.
        cache_dir: Where the data-set library keeps its tables; ``None`` for its own default.

    Raises:
        ValueError: In one line: the source cannot be read or holds no images, a size or fraction is out of range, a
            label has no class, or too many images are unreadable.

    Example:
        >>> digits = load_images()
        >>> len(digits.train), len(digits.validation), digits.train.batch([0, 1]).shape
        (4500, 500, torch.Size([2, 1, 32, 32]))
    """
    if image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    if not 0.0 < validation_fraction < 1.0:
        raise ValueError(f"validation_fraction must lie between 0 and 1, got {validation_fraction}")
    if source is None or str(source) == "digits":
        digits = load_digits(image_size=image_size, split_seed=split_seed)
        return ImageSplits(digits.train, digits.validation)
    name = Path(str(source)).name
    train, validation = open_tables(str(source), cache_dir=None if cache_dir is None else str(cache_dir))
    train_rows = list(range(len(train.rows)))
    if validation is None:
        validation = train
        train_rows, validation_rows = _hash_split(train, train_rows, split_seed, validation_fraction)
    else:
        validation_rows = list(range(len(validation.rows)))
    if not train_rows or not validation_rows:
        counts = f"{len(train_rows)} training and {len(validation_rows)} validation images"
        raise ValueError(f"data {str(source)!r} gives {counts}; both sides need at least one")
    classes = _class_names(train, validation)
    sides: list[Images] = []
    for table, rows, side in ((train, train_rows, "train"), (validation, validation_rows, "validation")):
        images = _image_set(table, rows, classes, f"{name} {side}", image_size, max_unreadable)
        sides.append(images.in_memory() if 3 * image_size**2 * len(rows) <= memory_limit else images)
    return ImageSplits(*sides)


def _hash_split(table: Table, rows: list[int], seed: int, fraction: float) -> tuple[list[int], list[int]]:
    sides: tuple[list[int], list[int]] = ([], [])
    for row in rows:
        digest = hashlib.sha256(f"{seed}:".encode() + table.split_key(row)).digest()
        held_out = int.from_bytes(digest[:8], "big") < fraction * 2**64
        sides[held_out].append(row)
    return sides


def _class_names(*tables: Table) -> tuple[str, ...]:
    """Declared class names, or the distinct labels of all splits in order; one class where there are no labels."""
    if any(table.label_column is None for table in tables):
        return ("all",)
    declared = tables[0].declared_classes
    if declared is not None:
        return declared
    values = {value for table in tables for value in table.rows[table.label_column]}
    return tuple(str(value) for value in sorted(values, key=lambda value: (str(type(value)), value)))


def _labels(table: Table, rows: Sequence[int], classes: tuple[str, ...]) -> Tensor:
    if classes == ("all",) or table.label_column is None:
        return torch.zeros(len(rows), dtype=torch.int64)
    column: list[Any] = list(table.rows[table.label_column])
    if table.declared_classes is not None:
        labels = torch.tensor([-1 if column[row] is None else column[row] for row in rows], dtype=torch.int64)
    else:
        numbers = {name: number for number, name in enumerate(classes)}
        labels = torch.tensor([numbers.get(str(column[row]), -1) for row in rows], dtype=torch.int64)
    if bool((labels < 0).any()) or int(labels.max()) >= len(classes):
        row = rows[int(((labels < 0) | (labels >= len(classes))).int().argmax())]
        raise ValueError(
            f"image {table.item_name(row)} has the label {column[row]!r}, which is no class of the data set"
        )
    return labels


def _image_set(
    table: Table, rows: Sequence[int], classes: tuple[str, ...], name: str, image_size: int, max_unreadable: int
) -> LazyImageSet:
    return LazyImageSet(
        lambda index: decode_image(table.source(rows[index]), image_size),
        lambda index: table.item_name(rows[index]),
        labels=_labels(table, rows, classes),
        class_names=classes,
        name=name,
        image_size=image_size,
        max_unreadable=max_unreadable,
    )
