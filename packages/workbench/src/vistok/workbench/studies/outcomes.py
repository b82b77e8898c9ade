"""How the making of a cell ended, kept in the folder of its run; what its stages cost; the numbers it gave."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vistok.workbench.evaluation.sampling import sample_label
from vistok.workbench.run.costs import CPU, MEMORY, WALL
from vistok.workbench.run.files import read_json, write_atomically
from vistok.workbench.run.folder import STUDY
from vistok.workbench.run.paths import DEFAULT, RunPaths
from vistok.workbench.run.records import Record, Records
from vistok.workbench.studies.cells import Cell
from vistok.workbench.studies.schema import SAMPLES, Measure, Study
from vistok.workbench.studies.sharing import has_source

FINISHED, FAILED, OPEN = "finished", "failed", "not finished"
_READ = 65_536  # bytes of a log's end, in which its last line is


class Outcome(NamedTuple):
    """How a cell ended: its state, the last line of its error, its threads, the checksum of its configuration."""

    state: str
    error: str = ""
    threads: int | None = None
    shipped: str | None = None


def keep_outcome(cell: Cell, runs: Path, outcome: Outcome) -> None:
    """Write how a cell ended into its folder, with what its configuration was."""
    outcome = outcome._replace(shipped=cell.shipped)
    write_atomically(_file(cell, runs), json.dumps(outcome._asdict()) + "\n")


def read_outcome(cell: Cell, runs: Path) -> Outcome:
    """How a cell ended: only while its images, its evaluation and the recipe's configuration are what they were."""
    if not _file(cell, runs).exists() or not has_source(cell.run, runs):
        return Outcome(OPEN)
    found = read_json(_file(cell, runs), "state", "error", "threads")
    outcome = Outcome(found["state"], found["error"], found["threads"], found.get("shipped"))
    if outcome.state != FINISHED:
        return outcome
    whole = is_as_shipped(cell, outcome.shipped) and _evaluation_is_whole(cell, runs / cell.run.name)
    return outcome if whole else Outcome(OPEN)


def is_as_shipped(cell: Cell, shipped: str | None) -> bool:
    """Whether a cell was made with the configuration that its recipe has now, as far as is known."""
    return shipped in (None, cell.shipped)


def last_line(log: Path) -> str:
    """The last line of a log that says something; progress bars end theirs with a carriage return."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _READ))
        text = file.read().decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    return next((line for line in reversed(lines) if line), "no output")


def log_file(cell: Cell, runs: Path) -> Path:
    """What the cells of a run print, one after the other."""
    return runs / cell.run.name / STUDY / "output.log"


def read_value(cell: Cell, runs: Path, measure: Measure, generator: str | None) -> float | None:
    """A number of a cell's evaluation; none where there is no such number.

    Args:
        cell: The cell.
        runs: The folder of all runs.
        measure: Which number.
        generator: Of whose samples; none: those of the cell's only generator.
    """
    path = measure.path_of(cell.run.recipe)
    file = RunPaths(runs / cell.run.name).evaluation(cell.evaluation or DEFAULT)
    if path is None or not file.exists():
        return None
    drawn_from = generator or next(iter(cell.generators), None)
    if drawn_from is not None:
        path = path.replace(SAMPLES, sample_label(drawn_from, cell.samples or DEFAULT))
    value: Any = read_json(file)
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if number else None


def read_values(study: Study, cells: Sequence[Cell], runs: Path) -> dict[str, dict[str, dict[int, float]]]:
    """The numbers of all finished cells, by row, column and seed; what is not there is left out."""
    found: dict[str, dict[str, dict[int, float]]] = {cell.row: {name: {} for name in study.columns} for cell in cells}
    for cell in cells:
        if read_outcome(cell, runs).state != FINISHED:
            continue
        for column, (name, generator) in study.columns.items():
            value = read_value(cell, runs, study.measures[name], generator)
            if value is not None:
                found[cell.row][column][cell.run.seed] = value
    return found


def stage_costs(cell: Cell, runs: Path) -> dict[str, dict[str, float]]:
    """What the finished stages of a cell cost, by their names; those of other generators in the folder are left out.

    A stage that was shared costs what it cost where it was made.
    """
    records = Records(runs / cell.run.name).read()
    return {name: record.cost for name, record in records.items() if record.cost and _belongs(record, cell)}


def total_cost(costs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Times of all stages together, and the largest peak of memory; empty where nothing is known."""
    if not costs:
        return {}
    total = {key: sum(cost[key] for cost in costs.values()) for key in (WALL, CPU)}
    return {**total, MEMORY: max(cost[MEMORY] for cost in costs.values())}


def _belongs(record: Record, cell: Cell) -> bool:
    """What follows the stage's name is its variant: a generator, and its sample set, or an evaluation."""
    stage, _, variant = record.name.partition(".")
    if stage in cell.skip:
        return False
    asked = {*cell.generators, cell.evaluation or DEFAULT}
    return not variant or not cell.generators or variant.partition(".")[0] in asked


def _evaluation_is_whole(cell: Cell, folder: Path) -> bool:
    records = Records(folder)
    name = records.relative(RunPaths(folder).evaluation(cell.evaluation or DEFAULT))
    made = [record for record in records.read().values() if name in record.outputs]
    return not made or any(records.damaged(record) is None for record in made)


def _file(cell: Cell, runs: Path) -> Path:
    return runs / cell.run.name / STUDY / f"{cell.request}.json"
