"""One call from a name, a folder, Parquet files or a hub id to training and validation images."""

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor

from vistok.metrics.images.decoding import MAX_PIXELS
from vistok.workbench.data._identity import images_checksum
from vistok.workbench.data._labels import Labels
from vistok.workbench.data._sources import open_tables_as_of, signature
from vistok.workbench.data._split import hash_split
from vistok.workbench.data._table import Table
from vistok.workbench.data.batches import usual_workers
from vistok.workbench.data.digits import load_digits
from vistok.workbench.data.image_set import Images
from vistok.workbench.data.lazy_images import LazyImageSet
from vistok.workbench.data.named_sets import DIGITS, is_named
from vistok.workbench.data.openmoji import OpenMoji, drawn_size
from vistok.workbench.data.resize import decode_for_crops, decode_image, decode_whole, random_crop, room_for_crops
from vistok.workbench.data.resized_crop import SCALE, resized_crop

logger = logging.getLogger(__name__)

#: Bytes of this machine's disk that the shards of a stream take, if nobody says otherwise.
STREAMING_LIMIT = 64 * 10**9


class _Sides(NamedTuple):
    train: Images
    validation: Images


class ImageSplits(_Sides):
    """Training images, and images that training never sees."""

    #: Another one where images were added, taken away or renamed; none of the sets by name, which nobody changes.
    checksum = ""


@dataclass(frozen=True)
class _Request:
    """All arguments of one call, the key of what is kept."""

    source: str
    image_size: int
    split_seed: int
    validation_fraction: float
    max_unreadable: int
    max_pixels: int
    image_column: str | None
    label_column: str | None
    random_crop: bool | Literal["resized"]
    crop_scale: tuple[float, float]
    fast_decoding: bool
    memory_limit: int
    streaming_limit: int | None
    workers: int | None
    cache_dir: str | None


def load_images(
    source: str | Path | None = None,
    *,
    image_size: int = 32,
    split_seed: int = 0,
    validation_fraction: float = 0.1,
    max_unreadable: int = 20,
    max_pixels: int = MAX_PIXELS,
    image_column: str | None = None,
    label_column: str | None = None,
    random_crop: bool | Literal["resized"] = False,
    crop_scale: tuple[float, float] = SCALE,
    fast_decoding: bool = False,
    memory_limit: int = 2 << 30,
    streaming_limit: int | None = None,
    workers: int | None = None,
    cache_dir: str | Path | None = None,
) -> ImageSplits:
    """Load a labelled or unlabelled image data set as square 8-bit images.

    A source with a validation split (or, failing that, a test split) keeps it, unless only its training images have
    labels. Without one, each image goes to a side by the hash of ``split_seed`` and its content (of its path below the
    folder, for image folders): adding images never moves another, and equal files in a table stay on one side. Where
    chance leaves a side empty, or only unreadable images (up to ``max_unreadable``), it gets the images next to the
    border: two different images that are readable are enough for a split.

    What the last call gave is kept for the next one with the same arguments, as long as no file of the source changes.

    Args:
        source: ``None`` or ``"digits"`` for the embedded digits (grey); ``"openmoji"`` for drawings in colour; else an
            image folder (a folder a class), a Parquet file or a tar archive (WebDataset) or a folder of them
            (``train-*``, ``validation-*``), or the id ``org/name`` of a data set on the hub.
        image_size: Pixels a side; see :func:`vistok.metrics.adm_crop` for how images get there.
        split_seed: Decides the split where the source has none.
        validation_fraction: Expected share of validation images in such a split, between 0 and 1.
        max_unreadable: Images that may be skipped as unreadable, in each split, before an error.
        max_pixels: Larger images are unreadable.
        image_column: Which column of a table holds the images; ``None`` to find it. A set by name has none.
        label_column: Which one holds the labels, ``"none"`` for no labels; ``None`` to find it (the log says what was
            taken): the one with a usual name, a single one of classes, or a single one of whole numbers.
        random_crop: Keep what :meth:`Images.batch` needs for random crops of training images that are larger than
            ``image_size``, or with ``"resized"`` for random-resized crops of all of them.
        crop_scale: Least and largest share of an image's area that a random-resized crop shows.
        fast_decoding: Decode JPEGs of training images at a half, a quarter or an eighth of their sides where that is
            still enough: the decoder averages in place of the box filter. Others are decoded in full, and so are
            images for random-resized crops.
        memory_limit: Bytes of pixels up to which a split is held in memory; beyond, it is decoded on demand.
        streaming_limit: ``None``, or the bytes of this machine's disk that shards (Parquet or tar files) may take which
            are fetched when a batch needs them: for data larger than the disk, from anywhere that ``fsspec`` opens.
            Training images then come in the order of :func:`vistok.workbench.data.shard_order.shard_batch_indices`.
        workers: Processes that then decode for a training; by default one a core, at most 8.
        cache_dir: Where the data-set library keeps its tables; ``None`` for its own default.

    Raises:
        ValueError: In one line: the source cannot be read or holds no images, a size or fraction is out of range, a
            column is missing, an image has no label or one that is no class, or too many images are unreadable.

    Example:
        >>> digits = load_images()
        >>> len(digits.train), len(digits.validation), digits.train.batch([0, 1]).shape
        (4500, 500, torch.Size([2, 1, 32, 32]))
    """
    if image_size < 1:
        raise ValueError(f"image_size must be at least 1, got {image_size}")
    if not 0.0 < validation_fraction < 1.0:
        raise ValueError(f"validation_fraction must lie between 0 and 1, got {validation_fraction}")
    name = DIGITS if source is None else str(source)
    request = _Request(
        name,
        image_size,
        split_seed,
        validation_fraction,
        max_unreadable,
        max_pixels,
        image_column,
        label_column,
        random_crop,
        crop_scale,
        fast_decoding,
        memory_limit,
        streaming_limit,
        workers,
        None if cache_dir is None else str(cache_dir),
    )
    if is_named(name, image_column, label_column, streaming_limit):
        return _load(request, Path.cwd(), None)
    return _load(request, Path.cwd(), signature(name, streaming=streaming_limit is not None))


@functools.lru_cache(maxsize=1)
def _load(request: _Request, folder: Path, state: tuple[int, int, int] | None) -> ImageSplits:
    """What is asked for; ``folder`` and ``state`` tell calls apart between which the source changed."""
    if state is None:
        return _load_digits(request) if request.source == DIGITS else _load_drawings(request)
    tables = open_tables_as_of(
        request.source,
        request.image_column,
        request.label_column,
        request.cache_dir,
        request.streaming_limit,
        folder,
        state,
    )
    train, validation = tables
    train_rows = list(range(len(train.rows)))
    if validation is None:
        validation = train
        train_rows, validation_rows = hash_split(
            map(train.split_key, train_rows),
            partial(_is_readable, request, train),
            seed=request.split_seed,
            fraction=request.validation_fraction,
            max_unreadable=request.max_unreadable,
        )
    else:
        validation_rows = list(range(len(validation.rows)))
    if not train_rows or not validation_rows:
        counts = f"{len(train_rows)} training and {len(validation_rows)} validation images"
        raise ValueError(f"data {request.source!r} gives {counts}; both sides need at least one")
    labels = Labels(train, validation)
    splits = ImageSplits(
        _image_set(request, train, train_rows, labels.of(train, train_rows), labels.class_names, "train"),
        _image_set(
            request,
            validation,
            validation_rows,
            labels.of(validation, validation_rows),
            labels.class_names,
            "validation",
        ),
    )
    _warn_of_unseen(splits)
    splits.checksum = images_checksum(table for table in tables if table is not None)
    return splits


def _warn_of_unseen(splits: ImageSplits) -> None:
    """Say which classes are held out whole: nothing learns them, though samples are drawn of all."""
    names = splits.train.class_names
    unseen = sorted({*range(len(names))} - {*splits.train.labels.tolist()})
    if unseen:
        few = ", ".join(names[number] for number in unseen[:3]) + ", ..." * (len(unseen) > 3)
        logger.warning("data: %d of %d classes have no image to train on: %s", len(unseen), len(names), few)


def _load_digits(request: _Request) -> ImageSplits:
    load = partial(load_digits, split_seed=request.split_seed, validation_fraction=request.validation_fraction)
    train, validation = load(image_size=request.image_size)
    more = 32 if request.random_crop == "resized" else min(room_for_crops(request.image_size), 32)
    if request.random_crop == "resized" or (request.random_crop and more > request.image_size):
        larger = load(image_size=more).train
        train = replace(train, uncropped=tuple(larger.images), crop=_crop(request))
    return ImageSplits(train, validation)


def _load_drawings(request: _Request) -> ImageSplits:
    drawings = OpenMoji(drawn_size(request.image_size))
    mask = drawings.held_out(seed=request.split_seed, fraction=request.validation_fraction)
    train, validation = (
        _image_set(request, drawings, rows.tolist(), drawings.labels[rows], drawings.class_names, side)
        for rows, side in (((~mask).nonzero()[:, 0], "train"), (mask.nonzero()[:, 0], "validation"))
    )
    return ImageSplits(train, validation)


def _is_readable(request: _Request, table: Table, row: int) -> bool:
    try:
        decode_image(table.source(row), request.image_size, max_pixels=request.max_pixels)
    except ValueError:
        return False
    return True


def _image_set(
    request: _Request, table: Table | OpenMoji, rows: list[int], labels: Tensor, class_names: tuple[str, ...], side: str
) -> Images:
    size = request.image_size
    cropped = side == "train" and request.random_crop
    fast = request.fast_decoding and side == "train"
    decoding = partial(_decode, table=table, rows=rows, image_size=size, max_pixels=request.max_pixels, fast=fast)
    images = LazyImageSet(
        partial(decoding, decode_image),
        partial(_item_name, table, rows),
        labels=labels,
        class_names=class_names,
        name=f"{Path(request.source).name or Path(request.source).resolve().name} {side}",
        image_size=size,
        max_unreadable=request.max_unreadable,
        decode_uncropped=partial(decoding, decode_whole if cropped == "resized" else decode_for_crops)
        if cropped
        else None,
    )
    images.attribution = table.attribution
    images.crop = _crop(request)
    images.workers = usual_workers() if request.workers is None else request.workers
    kept = size**2 + 2 * room_for_crops(size) ** 2 if cropped else size**2
    if isinstance(table, Table) and table.shards is not None:
        images.shards = table.shards.of(rows)
    if cropped == "resized" or (images.shards is not None and side == "train"):  # of any size, or any number
        return images
    if 3 * kept * len(rows) > request.memory_limit:
        return images
    loaded = images.in_memory()
    if loaded.uncropped is not None and all(tuple(more.shape[1:]) == (size, size) for more in loaded.uncropped):
        logger.warning(
            "data set %s: no image is larger than %d pixels, so random crops show all of it", loaded.name, size
        )
    return loaded


def _crop(request: _Request) -> Callable[[Tensor, int, Sequence[float]], Tensor]:
    return partial(resized_crop, scale=request.crop_scale) if request.random_crop == "resized" else random_crop


def _decode(
    decode: Callable[..., Tensor],
    index: int,
    *,
    table: Table | OpenMoji,
    rows: list[int],
    image_size: int,
    max_pixels: int,
    fast: bool,
) -> Tensor:
    return decode(table.source(rows[index]), image_size, max_pixels=max_pixels, fast=fast)


def _item_name(table: Table | OpenMoji, rows: list[int], index: int) -> str:
    return table.item_name(rows[index])
