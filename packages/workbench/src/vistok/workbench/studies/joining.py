"""Cells that were made elsewhere, as a ``study.json`` has them: what several machines made on one page."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vistok.workbench.config import ConfigError
from vistok.workbench.run.files import read_json
from vistok.workbench.studies.cells import Cell
from vistok.workbench.studies.outcomes import FINISHED, Outcome, is_as_shipped
from vistok.workbench.studies.schema import Study

Key = tuple[str, tuple[str, ...], str | None, str | None]


class Made(NamedTuple):
    """A cell that was finished elsewhere: how it ended, what its stages cost, its numbers by column."""

    outcome: Outcome
    costs: Mapping[str, Mapping[str, float]]
    values: Mapping[str, float]


@dataclass(frozen=True)
class Joined:
    """All that is joined to a study.

    Attributes:
        cells: What was made elsewhere, by what a cell is known by.
        origins: Where: the environment and the commit of each file, those that it had joined itself included.
    """

    cells: Mapping[Key, Made] = field(default_factory=dict)
    origins: Sequence[Mapping[str, Any]] = ()

    def of(self, cell: Cell) -> Made | None:
        """What was made of a cell elsewhere."""
        return self.cells.get(_key(cell))


def read_joined(files: Sequence[Path], study: Study, cells: Sequence[Cell]) -> Joined:
    """Read the finished cells of the files that are among those asked for; of a cell in two files the first.

    A cell is the same where its folder has the same name, so where recipe, configuration, data, seed and settings are,
    and the recipe's shipped configuration says what it said there.

    Raises:
        ConfigError: A file has none of the cells.
    """
    asked = {_key(cell): cell for cell in cells}
    made: dict[Key, Made] = {}
    origins: list[Mapping[str, Any]] = []
    for file in files:
        found = read_json(file, "cells", "values", "environment", "commit")
        numbers = values_by_cell(found)
        mine: dict[Key, Made] = {}
        for cell in found["cells"]:
            key = (cell["folder"], tuple(cell["generators"]), cell["samples"], cell["evaluation"])
            shipped = cell.get("shipped")
            if cell["state"] == FINISHED and key in asked and is_as_shipped(asked[key], shipped):
                values = _by_column(study, numbers[cell["row"], cell["seed"]])
                outcome = Outcome(FINISHED, threads=cell["threads"], shipped=shipped)
                mine[key] = Made(outcome, cell["stages"], values)
        if not mine:
            raise ConfigError(f"join: expected finished cells of this study, these images and seeds, {file} has none")
        made = mine | made
        origins += [{"environment": found["environment"], "commit": found["commit"]}, *found.get("joined", [])]
    return Joined(made, origins)


def values_by_cell(found: Mapping[str, Any]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """The values of a ``study.json`` by row and seed; none for a cell that has none."""
    values: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for value in found["values"]:
        values[value["row"], value["seed"]].append(value)
    return values


def _key(cell: Cell) -> Key:
    return cell.run.name, cell.generators, cell.samples, cell.evaluation


def _by_column(study: Study, values: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {
        column: value["value"]
        for column, (name, generator) in study.columns.items()
        for value in values
        if value["measure"] == name and generator in (None, value["generator"])
    }
