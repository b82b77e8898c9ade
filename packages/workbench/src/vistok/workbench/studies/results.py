"""What is there of a study: every number by row, seed and measure, how each cell ended, what it cost."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vistok.workbench.run.folder import environment_record
from vistok.workbench.studies.cells import Cell, Data, plain_value
from vistok.workbench.studies.joining import Joined
from vistok.workbench.studies.outcomes import (
    FINISHED,
    Outcome,
    log_file,
    read_outcome,
    read_values,
    stage_costs,
    total_cost,
)
from vistok.workbench.studies.schema import Study
from vistok.workbench.studies.statistics import Summary, paired_difference, summarize

#: By row, column and seed.
Values = dict[str, dict[str, dict[int, float]]]


@dataclass(frozen=True)
class Results:
    """A study as far as it has come.

    Attributes:
        name: That of the study's file.
        study: What was asked.
        data: The images.
        runs: The folder of all runs.
        cells: All that were asked for.
        values: The numbers that there are.
        outcomes: How each cell ended, in the order of the cells.
        costs: What the stages of each cell cost, in the order of the cells.
        origins: Where cells come from that were not made here: environments and commits.
        overrides: Settings that had the last word, of a try.
    """

    name: str
    study: Study
    data: Data | None
    runs: Path
    cells: Sequence[Cell]
    values: Values
    outcomes: Sequence[Outcome]
    costs: Sequence[Mapping[str, Mapping[str, float]]]
    origins: Sequence[Mapping[str, Any]] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> list[str]:
        """The rows that were asked for, in order."""
        return list(self.values)

    def num_seeds(self, row: str) -> int:
        """At how many seeds a row has numbers, of the measure with most."""
        return max(len(values) for values in self.values[row].values())

    def summary(self, row: str, column: str) -> Summary | None:
        """Mean and deviation over the seeds; none where there is no number."""
        values = self.values[row][column]
        return summarize(list(values.values())) if values else None

    def difference(self, row: str, column: str) -> Summary | None:
        """The row less the reference, seed by seed; none of the reference itself and where no seed has both."""
        reference = self.study.reference
        if reference is None or row == reference or reference not in self.values:
            return None
        return paired_difference(self.values[row][column], self.values[reference][column])

    def missing(self) -> list[tuple[str, int, str]]:
        """What is not there: row, seed, and what or why."""
        found = []
        for cell, outcome in zip(self.cells, self.outcomes, strict=True):
            if outcome.state != FINISHED:
                log = log_file(cell, self.runs)
                why = f": {outcome.error}{f' ({log})' if log.exists() else ''}" if outcome.error else ""
                found.append((cell.row, cell.run.seed, outcome.state + why))
                continue
            absent = [name for name, values in self.values[cell.row].items() if cell.run.seed not in values]
            absent = [name for name in absent if self._is_measured(name, cell)]
            if absent:
                found.append((cell.row, cell.run.seed, f"no number for {', '.join(absent)}"))
        return found

    def _is_measured(self, column: str, cell: Cell) -> bool:
        return self.study.measures[self.study.columns[column][0]].path_of(cell.run.recipe) is not None


def collect(
    name: str,
    study: Study,
    data: Data | None,
    cells: Sequence[Cell],
    runs: Path,
    joined: Joined = Joined(),  # noqa: B008  # holds nothing, and nothing changes it
    overrides: Mapping[str, Any] | None = None,
) -> Results:
    """Read all that there is of a study; a cell that is finished here is not taken from elsewhere."""
    values = read_values(study, cells, runs)
    outcomes: list[Outcome] = []
    costs: list[Mapping[str, Mapping[str, float]]] = []
    for cell in cells:
        here, elsewhere = read_outcome(cell, runs), joined.of(cell)
        if elsewhere is None or here.state == FINISHED:
            outcomes.append(here)
            costs.append(stage_costs(cell, runs))
            continue
        outcomes.append(elsewhere.outcome)
        costs.append(elsewhere.costs)
        for column, value in elsewhere.values.items():
            values[cell.row][column][cell.run.seed] = value
    return Results(name, study, data, runs, cells, values, outcomes, costs, joined.origins, overrides or {})


def as_json(results: Results) -> dict[str, Any]:
    """Everything as JSON: the numbers, what they sum up to, what made them."""
    study = results.study
    return {
        "study": results.name,
        "title": study.title,
        "data": results.data and results.data.name,
        "environment": environment_record(),
        "commit": _commit(),
        "joined": results.origins,
        "try": plain_value(results.overrides),
        "measures": {name: measure.model_dump(mode="json") for name, measure in study.measures.items()},
        "cells": [
            _cell(cell, outcome, costs)
            for cell, outcome, costs in zip(results.cells, results.outcomes, results.costs, strict=True)
        ],
        "values": [
            _value(results, cell, column, results.values[cell.row][column][cell.run.seed])
            for cell in results.cells
            for column in study.columns
            if cell.run.seed in results.values[cell.row][column]
        ],
        "summary": _by_row(results, results.summary),
        "differences": _by_row(results, results.difference),
        "missing": results.missing(),
    }


def _cell(cell: Cell, outcome: Outcome, costs: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    return {
        "row": cell.row,
        **cell.run.key,
        "folder": cell.run.name,
        "generators": cell.generators,
        "samples": cell.samples,
        "evaluation": cell.evaluation,
        **outcome._asdict(),
        "cost": total_cost(costs),
        "stages": costs,
    }


def _value(results: Results, cell: Cell, column: str, value: float) -> dict[str, Any]:
    name, generator = results.study.columns[column]
    if results.study.measures[name].of_samples and generator is None:
        generator = cell.generators[0]
    return {"row": cell.row, "seed": cell.run.seed, "measure": name, "generator": generator, "value": value}


def _by_row(results: Results, of: Any) -> dict[str, dict[str, Any]]:
    found = {row: {column: of(row, column) for column in results.study.columns} for row in results.rows}
    return {row: {name: each._asdict() for name, each in columns.items() if each} for row, columns in found.items()}


def _commit() -> str | None:
    """The commit of the checkout that this file is in, if it is in one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
