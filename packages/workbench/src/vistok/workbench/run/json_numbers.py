"""Infinity and NaN in files of JSON, which has neither: strings there, as ``vistok-eval`` writes them, numbers here."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vistok.workbench.run.files import read_json

_NUMBERS = {str(value): value for value in (math.inf, -math.inf, math.nan)}


def to_json(values: Any, *, indent: int | None = None, ensure_ascii: bool = True) -> str:
    """Text that every reader of JSON takes: numbers that are not finite are strings in it.

    Example:
        >>> to_json({"psnr": math.inf, "ssim": 1.0})
        '{"psnr": "inf", "ssim": 1.0}'
    """
    return json.dumps(with_strings(values), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)


def with_strings(values: Any) -> Any:
    """The same values with ``"inf"``, ``"-inf"`` and ``"nan"`` in the place of numbers that are not finite."""
    if isinstance(values, Mapping):
        return {name: with_strings(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [with_strings(value) for value in values]
    return str(values) if isinstance(values, float) and not math.isfinite(values) else values


def with_numbers(values: Any) -> Any:
    """The other way round; a list with other texts holds names, and a class may be called ``nan``.

    Example:
        >>> with_numbers({"psnr": "inf", "curve": ["-inf", 1.0]})
        {'psnr': inf, 'curve': [-inf, 1.0]}
    """
    if isinstance(values, dict):
        return {name: with_numbers(value) for name, value in values.items()}
    if isinstance(values, list) and all(value in _NUMBERS for value in values if isinstance(value, str)):
        return [with_numbers(value) for value in values]
    return _NUMBERS.get(values, values) if isinstance(values, str) else values


def read_measures(path: Path) -> dict[str, Any]:
    """What the file of an evaluation holds.

    Raises:
        FileNotFoundError: There is no such file.
        DamagedFileError: It is no JSON, or no object; the message names the file.
    """
    found: dict[str, Any] = with_numbers(read_json(path))
    return found
