"""What a source of images holds, told without decoding them."""

from pathlib import Path
from typing import NamedTuple

from vistok.metrics.images.decoding import image_shape
from vistok.workbench.data._labels import Labels
from vistok.workbench.data._sources import open_tables_as_of, signature
from vistok.workbench.data.loading import load_images
from vistok.workbench.data.named_sets import DIGITS, is_named
from vistok.workbench.data.openmoji import USUAL_SIZE, OpenMoji

# Headers that are read to tell the usual size of a source's images.
_NUM_SIZES_READ = 64


class SourceDescription(NamedTuple):
    """What a source holds, told without decoding its images.

    Attributes:
        channels: 1 for grey images, 3 for colour: those that :func:`load_images` gives.
        num_images: Images to train on; with those that are held out where the source has no split of its own.
        num_classes: Classes of the labels, 1 where there are none.
        image_size: Median over images of the shorter side, in pixels.
    """

    channels: int
    num_images: int
    num_classes: int
    image_size: int


def describe_source(
    source: str | Path | None = None,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    cache_dir: str | Path | None = None,
    streaming_limit: int | None = None,
) -> SourceDescription:
    """What a source holds, from its tables and the headers of some of its images.

    Args:
        source: As in :func:`load_images`, like the others.
        image_column: Which column of a table holds the images.
        label_column: Which one holds the labels.
        cache_dir: Where the data-set library keeps its tables.
        streaming_limit: As there; then the headers are of its first images.

    Raises:
        ValueError: In one line, as :func:`load_images`, or none of the images looked at can be read.

    Example:
        >>> describe_source("digits")
        SourceDescription(channels=1, num_images=4500, num_classes=10, image_size=32)
    """
    name = DIGITS if source is None else str(source)
    if is_named(name, image_column, label_column, streaming_limit):
        if name == DIGITS:
            digits = load_images().train
            return SourceDescription(1, len(digits), len(digits.class_names), 32)
        drawings = OpenMoji(USUAL_SIZE)
        num_images = len(drawings) - int(drawings.held_out(seed=0, fraction=0.1).sum())
        return SourceDescription(3, num_images, len(drawings.class_names), USUAL_SIZE)
    cache = None if cache_dir is None else str(cache_dir)
    state = signature(name, streaming=streaming_limit is not None)
    train, *others = open_tables_as_of(name, image_column, label_column, cache, streaming_limit, Path.cwd(), state)
    labels = Labels(train, *(table for table in others if table is not None))
    sides = []
    between = 1 if train.shards is not None else max(1, len(train.rows) // _NUM_SIZES_READ)
    for row in range(0, len(train.rows), between)[: _NUM_SIZES_READ if between == 1 else None]:
        try:
            sides.append(min(image_shape(train.source(row))))
        except ValueError:
            continue
    if not sides:
        raise ValueError(f"data {str(source)!r} has no readable image")
    return SourceDescription(3, len(train.rows), len(labels.class_names), sorted(sides)[len(sides) // 2])
