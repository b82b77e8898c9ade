"""Which column of a table holds the images, and which the labels."""

import difflib
from collections.abc import Iterable
from typing import Any

_IMAGE_NAMES = ("image", "img", "jpg", "jpeg", "png", "webp", "pixel_values", "picture")
_LABEL_NAMES = ("label", "labels", "class", "cls", "fine_label", "category")
# Whole numbers about an image that are no class of it.
_MEASURES = frozenset(("width", "height", "size", "id", "idx", "index", "image_id", "key", "timestamp"))
_NO_LABELS = "none"


def find_image_column(datasets: Any, features: Any, wanted: str | None) -> str:
    """``wanted``, or the column of images.

    Raises:
        ValueError: There is no such column; the message lists those that there are.
    """
    if wanted is not None:
        return _existing("data.image_column", wanted, features)
    typed = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    contents = [name for name, feature in features.items() if _holds_files(feature)]
    named = [name for name in _IMAGE_NAMES if name in features]
    found = [*(name for name in named if name in typed), *typed, *named]
    if not found and len(contents) == 1:
        found = contents
    if not found:
        raise ValueError(f"no image column, only {sorted(features)}; data.image_column names it")
    return str(found[0])


def find_label_column(datasets: Any, rows: Any, wanted: str | None, image_column: str) -> tuple[str | None, str]:
    """``wanted``, or the column that can only be the label; and a remark on what was taken.

    Columns with a usual name come first, then a single column of classes, then a single column of whole numbers that
    tells groups of images (not one image from the others).

    Raises:
        ValueError: There is no column ``wanted``; the message lists those that there are.
    """
    features = rows.features
    if wanted == _NO_LABELS and wanted not in features:
        return None, "no labels, as data.label_column says: all images are of one class"
    if wanted is not None:
        return _existing("data.label_column", wanted, features), f"labels from column {wanted!r}"
    classes = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
    named = [name for name in _LABEL_NAMES if name in features and name != image_column]
    usual = [name for name in named if name in classes] or (classes if len(classes) == 1 else named)
    numbers = [name for name, feature in features.items() if _is_whole_number(name, feature)]
    if not usual and not classes and len(numbers) == 1 and _tells_groups(rows[numbers[0]]):
        usual = numbers
    others = sorted({*classes, *named, *numbers} - set(usual[:1]))
    if usual:
        too = f" ({_listed(others)} could be meant too; data.label_column decides)" if others else ""
        return usual[0], f"labels from column {usual[0]!r}{too}"
    reason = f"{_listed(others)} could be meant" if others else f"columns {_listed(features)}"
    reason = f" ({reason}; data.label_column decides)" if len(features) > 1 else ""
    return None, f"no labels found{reason}: all images are of one class"


def _is_whole_number(name: str, feature: Any) -> bool:
    dtype = str(getattr(feature, "dtype", ""))
    return dtype.startswith(("int", "uint")) and not name.startswith("__") and name.lower() not in _MEASURES


def _tells_groups(values: Iterable[Any]) -> bool:
    seen = set()
    for value in values:
        if value in seen:
            return True
        seen.add(value)
    return False


def _holds_files(feature: Any) -> bool:
    is_file = isinstance(feature, dict) and "bytes" in feature
    return is_file or getattr(feature, "dtype", None) in ("binary", "large_binary")


def _existing(key: str, wanted: str, features: Any) -> str:
    if wanted in features:
        return wanted
    near = difflib.get_close_matches(wanted, list(features), n=1)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    raise ValueError(f"{key}: expected one of {_listed(features)}, got {wanted!r}{hint}")


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    return f"{', '.join(names[:12])}{f' and {len(names) - 12} more' if len(names) > 12 else ''}"
