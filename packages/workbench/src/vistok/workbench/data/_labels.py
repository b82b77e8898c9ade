"""From the label columns of all splits to class names and their numbers."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vistok.workbench.data._table import Table

logger = logging.getLogger(__name__)

_ONE_CLASS = ("all",)


class Labels:
    """Class names of a data set, and the numbers of the classes of any rows of its tables.

    Names are the declared ones, or the distinct values of all splits in order. Without labels (no column, or nothing
    but nulls in it) there is one class.

    Args:
        tables: All splits.

    Raises:
        ValueError: In one line with the name of the image: some labels are null and others are not, or one is neither
            a whole number nor a text, or no declared class. Or with the splits: they declare other classes or the same
            in another order, or some labels are numbers and others texts.
    """

    def __init__(self, *tables: Table) -> None:
        self.class_names: tuple[str, ...] = _ONE_CLASS
        self._columns: dict[str, list[Any]] = {}
        if any(table.label_column is None for table in tables):
            return
        columns = {table.split: [_plain(value) for value in table.rows[table.label_column]] for table in tables}
        if all(value is None for column in columns.values() for value in column):
            logger.warning("data: column %r holds no label: all images are of one class", tables[0].label_column)
            return
        declared = tables[0].declared_classes
        for table in tables:
            _check_declared(tables[0], table)
            _check(table, columns[table.split], declared)
        if declared is None:
            _check_kinds(columns)
        self._columns = columns
        values = range(len(declared)) if declared else sorted({v for column in columns.values() for v in column})
        self.class_names = declared or tuple(str(value) for value in values)
        self._numbers = {value: number for number, value in enumerate(values)}

    def of(self, table: Table, rows: Sequence[int]) -> Tensor:
        """Numbers ``(len(rows),)``, int64, of the classes of these rows."""
        if not self._columns:
            return torch.zeros(len(rows), dtype=torch.int64)
        column = self._columns[table.split]
        return torch.tensor([self._numbers[column[row]] for row in rows], dtype=torch.int64)


def _plain(value: Any) -> Any:
    """A float that is a whole number as one; everything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_declared(first: Table, other: Table) -> None:
    """That a number means one class in two splits, where both say which."""
    if first.declared_classes and other.declared_classes and first.declared_classes != other.declared_classes:
        pairs = itertools.zip_longest(first.declared_classes, other.declared_classes)
        number, (ours, theirs) = next((n, pair) for n, pair in enumerate(pairs) if pair[0] != pair[1])
        raise ValueError(
            f"data: expected the same classes in all splits, in one order, got {ours!r} as class {number} of "
            f"{first.split} and {theirs!r} of {other.split}"
        )


def _check_kinds(columns: Mapping[str, Sequence[Any]]) -> None:
    numbers, texts = (
        [split for split, column in columns.items() if any(isinstance(value, kind) for value in column)]
        for kind in (int, str)
    )
    if numbers and texts:
        raise ValueError(
            f"data: expected numbers or texts as labels, got numbers in {', '.join(numbers)} and texts in "
            f"{', '.join(texts)}"
        )


def _check(table: Table, column: Sequence[Any], declared: tuple[str, ...] | None) -> None:
    for row, value in enumerate(column):
        if isinstance(value, int | str) if declared is None else isinstance(value, int) and 0 <= value < len(declared):
            continue
        where = f"image {table.item_name(row)} has the label {value!r:.80}"
        if value is None or (declared and value == -1):
            missing = sum(other is None or other == value for other in column)
            raise ValueError(
                f"{where}, that is none, as {missing} of {len(column)} images have; expected a label for every image, "
                "or data.label_column=none"
            )
        if declared and isinstance(value, int):
            raise ValueError(f"{where}, which is no class of the data set; expected 0 to {len(declared) - 1}")
        raise ValueError(
            f"{where} in column {table.label_column!r}; expected a whole number or a text "
            "(data.label_column names another column)"
        )
