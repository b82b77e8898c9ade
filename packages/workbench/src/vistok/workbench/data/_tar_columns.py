"""The columns of tar archives: the images of several endings as one."""

import logging
from collections.abc import Mapping
from typing import Any

from PIL import Image

logger = logging.getLogger(__name__)

_USUAL = ("jpg", "jpeg", "png", "webp")


def is_image(ending: str) -> bool:
    """Whether files with an ending are images: ``jpg``, ``PNG``, ``left.png``."""
    return f".{ending.lower().rpartition('.')[2]}" in Image.registered_extensions()


def one_image_column(splits: Mapping[str, Any]) -> Mapping[str, Any]:
    """Splits of archives with all images in one column, where no record has images of two endings.

    Where one has (an image and its mask), or all images are of one ending, they stay as they are.
    """
    import datasets

    def endings_of(rows: Any) -> list[str]:
        return [name for name, kind in rows.features.items() if isinstance(kind, datasets.Image) and is_image(name)]

    endings = list(dict.fromkeys(ending for rows in splits.values() for ending in endings_of(rows)))
    if len(endings) < 2 or any(_has_two(rows.data.table, endings_of(rows)) for rows in splits.values()):
        return splits
    name = next((usual for usual in _USUAL if usual in endings), endings[0])
    logger.info("data: the images of endings %s are one column, %r", ", ".join(sorted(endings)), name)
    return {split: _merged(datasets, rows, endings_of(rows), name) for split, rows in splits.items()}


def _has_two(table: Any, names: list[str]) -> bool:
    """Whether a row has values in two of the columns."""
    import pyarrow.compute as pc

    seen = None
    for name in names:
        valid = table[name].is_valid()
        if seen is not None and pc.any(pc.and_(seen, valid)).as_py():
            return True
        seen = valid if seen is None else pc.or_(seen, valid)
    return False


def _merged(datasets: Any, rows: Any, names: list[str], name: str) -> Any:
    import pyarrow.compute as pc

    if not names:
        return rows
    table = rows.data.table.replace_schema_metadata(None)
    images = pc.coalesce(*(table[each] for each in names))
    table = table.drop_columns(names).append_column(name, images)
    return datasets.Dataset(table).cast_column(name, datasets.Image(decode=False))
