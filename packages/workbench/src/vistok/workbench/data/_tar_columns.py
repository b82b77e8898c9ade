"""The columns of tar archives: of one type each, whatever the records hold; the images of several endings as one."""

import contextlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

logger = logging.getLogger(__name__)

JSON = "json"  # the ending of a file whose entries are columns
_TEXTS = ("cls", "txt")
_USUAL = ("jpg", "jpeg", "png", "webp")


def is_image(ending: str) -> bool:
    """Whether files with an ending are images: ``jpg``, ``PNG``, ``left.png``."""
    return f".{ending.lower().rpartition('.')[2]}" in Image.registered_extensions()


def json_entries(text: str) -> dict[str, Any]:
    """The entries of a JSON text that are numbers, texts or truths, without halves of characters, which no file holds.

    Raises:
        ValueError, RecursionError: It is no JSON.
    """
    entries = json.loads(text)
    if not isinstance(entries, dict):
        return {}
    kept = {_whole(key): value for key, value in entries.items() if isinstance(value, int | float | str)}
    return {key: _whole(value) if isinstance(value, str) else value for key, value in kept.items()}


def _whole(text: str) -> str:
    return text.encode(errors="replace").decode()


def table_of(records: Sequence[Mapping[str, Any]]) -> Any:
    """Records of an archive as a table, from what they hold under each ending.

    Entries of a ``.json`` are columns of their own. One that is called as an ending that the archive has, or as one of
    images, gives none: it cannot take the place of a file.
    """
    import pyarrow as pa

    names = dict.fromkeys(name for record in records for name in record if name != JSON)
    keys = dict.fromkeys(key for record in records for key in record.get(JSON, ()))
    table = {name: _column([record.get(name) for record in records]) for name in names}
    for key in keys:
        if key not in names and not is_image(key):
            table[key] = _column([record.get(JSON, {}).get(key) for record in records])
    return pa.table(table)


def _column(values: Sequence[Any]) -> Any:
    """Values of one kind, or numbers, as they are; any others, and numbers out of range, as texts."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2 or kinds == {int, float}:
        with contextlib.suppress(OverflowError, pa.ArrowInvalid):
            return pa.array(values)
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


def alike(tables: Sequence[Any]) -> list[Any]:
    """Tables of several archives, whose columns of a name are of one type, as those of one archive are.

    Those of ``.cls`` and ``.txt`` are whole numbers where all are. Tables of Parquet files, which declare what they
    hold, stay as they are.
    """
    made = list(tables)
    places = [place for place, table in enumerate(made) if not table.schema.metadata]
    for name in dict.fromkeys(name for place in places for name in made[place].column_names):
        holding = [place for place in places if name in made[place].column_names]
        columns = _of_one_type([made[place][name] for place in holding], counts=name in _TEXTS)
        for place, column in zip(holding, columns, strict=True):
            table = made[place]
            made[place] = table.set_column(table.column_names.index(name), name, column)
    return made


def _of_one_type(columns: Sequence[Any], *, counts: bool) -> Sequence[Any]:
    import pyarrow as pa

    kinds = {column.type for column in columns if not pa.types.is_null(column.type)}
    if counts and pa.string() in kinds and kinds <= {pa.string(), pa.int64()} and all(map(_is_whole_numbers, columns)):
        return [column.cast(pa.int64()) for column in columns]
    if len(kinds) < 2:
        return columns
    if kinds == {pa.int64(), pa.float64()}:
        with contextlib.suppress(pa.ArrowInvalid):
            return [column.cast(pa.float64()) for column in columns]
    texts = ([None if value is None else _text(value) for value in column.to_pylist()] for column in columns)
    return [pa.chunked_array([text], pa.string()) for text in texts]


def _is_whole_numbers(column: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        return True
    return pc.all(pc.match_substring_regex(column, "^-?[0-9]{1,18}$")).as_py() is not False


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
