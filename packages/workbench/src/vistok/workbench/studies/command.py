"""The command ``vistok-study``: run a study, write its pages again, say what is left, correlate measures."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from vistok.metrics.command import own_modules
from vistok.workbench.config import ConfigError
from vistok.workbench.output import Output, OutputOptions
from vistok.workbench.program import DONE, UNEXPECTED, run_command_line
from vistok.workbench.run.costs import WALL
from vistok.workbench.strict_yaml import StrictYAMLError, read_yaml
from vistok.workbench.studies.association import write_correlations
from vistok.workbench.studies.cells import Cell, Data, cells_of, chosen_data, plain_value, short_checksum
from vistok.workbench.studies.joining import Joined, read_joined
from vistok.workbench.studies.outcomes import FAILED, FINISHED, read_outcome, total_cost
from vistok.workbench.studies.pages import write_study
from vistok.workbench.studies.results import Results, collect
from vistok.workbench.studies.runner import run_cells
from vistok.workbench.studies.schema import Study, load_study
from vistok.workbench.studies.sharing import check_source

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StudyOptions(OutputOptions):
    """Which cells of which study; the strings are the help texts."""

    study: tyro.conf.Positional[Path]
    """The study's file."""
    data: str | None = None
    """The images: the name of a data set of the study, a source that recipes take, or NAME=SOURCE. By default the first
    that the file names, or those of the configuration."""
    seeds: tuple[int, ...] = ()
    """In place of the file's, as in --seeds 0 1 2."""
    only: tuple[str, ...] = ()
    """Some rows, by name; rows whose runs they read from are added."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Override a setting of every row, as in --set train.steps=100, for a try; may be repeated."""
    runs: Path = Path("runs")
    """The folder of all runs."""
    out: Path | None = None
    """Where the pages go; by default RUNS/STUDY/DATA, and with --set RUNS/STUDY/DATA-try-CHECKSUM."""
    join: tuple[Path, ...] = ()
    """Files study.json of the same study and images: their finished cells count as made."""


@dataclass(frozen=True, kw_only=True)
class PlanStudyOptions(StudyOptions):
    """And how many at a time."""

    jobs: int = 1
    """How many cells run at a time."""


@dataclass(frozen=True, kw_only=True)
class RunStudyOptions(PlanStudyOptions):
    """And with how many threads."""

    threads: int = 1
    """Of each cell; another number may change the last digits of a result."""


@dataclass(frozen=True, kw_only=True)
class CorrelateOptions(OutputOptions):
    """Which measures of which studies are set against one another."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders in which study.json files are looked for, however deep."""
    predictors: tuple[str, ...]
    """Measures by their names in the studies, as in --predictors "density CV" PSNR."""
    outcomes: tuple[str, ...]
    """Measures of generation, as in --outcomes gFID recall."""
    out: Path = Path("runs/correlations")
    """Where the page goes."""


def run_study(options: RunStudyOptions) -> Output:
    """Run every cell of a study that is not finished, in processes of their own, and write its pages."""
    study, data, cells = asked(options)
    joined = read_joined(options.join, study, cells)
    run_cells(to_run(cells, joined, options.runs), options.runs, jobs=options.jobs, threads=options.threads)
    results = collect(options.study.stem, study, data, cells, options.runs, joined, _overrides(options))
    output = _written(results, _folder(options, data))
    failed = sum(outcome.state == FAILED for outcome in results.outcomes)
    if failed:
        logger.error("vistok-study: %d of %d cells failed", failed, len(cells))
    return replace(output, code=UNEXPECTED if failed else DONE)


def report_study(options: StudyOptions) -> Output:
    """Write the pages of a study again from what is there."""
    results = _collected(options)
    return _written(results, _folder(options, results.data))


def plan_study(options: PlanStudyOptions) -> Output:
    """Say which cells are finished, which would run, and about how long that takes; runs nothing."""
    results = _collected(options)
    lines = plan_lines(results, jobs=options.jobs)
    return Output({"cells": _states(results), "left": lines[-1]}, text="\n".join(lines))


def correlate_studies(options: CorrelateOptions) -> Output:
    """Rank correlations of measures over the cells of studies, each data set for itself, with a page."""
    page = write_correlations(options.folders, options.predictors, options.outcomes, options.out)
    logger.info("open %s", page)
    return Output({"page": str(page)}, page)


def asked(options: StudyOptions) -> tuple[Study, Data | None, list[Cell]]:
    """The study, its images and its cells, as the options have them.

    Raises:
        ConfigError: A number of seeds, jobs or threads is none that can be, or a setting is none.
    """
    for name in ("jobs", "threads"):
        if getattr(options, name, 1) < 1:
            raise ConfigError(f"{name}: expected at least 1, got {getattr(options, name)}")
    if any(seed < 0 for seed in options.seeds) or len(set(options.seeds)) < len(options.seeds):
        raise ConfigError(f"seeds: expected whole numbers from 0, each once, got {list(options.seeds)}")
    study = load_study(options.study)
    data = chosen_data(study, options.data)
    chosen = {"seeds": options.seeds, "only": options.only, "overrides": _overrides(options)}
    cells = cells_of(study, options.study.parent, data=data, **chosen)  # type: ignore[arg-type]
    same: dict[tuple[str, str], list[str]] = {}
    for cell in cells if options.set else ():
        same.setdefault((cell.run.name, cell.request), []).append(cell.row)
    equal = dict.fromkeys(", ".join(rows) for rows in same.values() if len(rows) > 1)
    if equal:
        logger.warning("set: makes these rows one run, with equal numbers: %s", "; ".join(equal))
    return study, data, cells


def to_run(cells: Sequence[Cell], joined: Joined, runs: Path) -> list[Cell]:
    """The cells that are not joined, and of the joined ones those whose folders an unfinished one reads from."""
    begin = [cell for cell in cells if joined.of(cell) is None and read_outcome(cell, runs).state != FINISHED]
    needed = {name for cell in begin for name in cell.after}
    return [cell for cell in cells if joined.of(cell) is None or cell.run.name in needed]


def plan_lines(results: Results, *, jobs: int) -> list[str]:
    """A line a cell with its state, then about how long the rest takes, judged by the finished cells."""
    lines, spent, left = [], [], 0
    for cell, outcome, costs in zip(results.cells, results.outcomes, results.costs, strict=True):
        lines.append(f"{outcome.state:>12}  {cell.label}  {results.runs / cell.run.name}")
        if outcome.state == FINISHED and costs:
            spent.append(total_cost(costs)[WALL])
        left += outcome.state != FINISHED
    total = f"{left} of {len(results.cells)} cells to run"
    if left and spent:
        minutes = left * sum(spent) / len(spent) / 60 / jobs
        total += f", about {minutes:.0f} minutes with {jobs} at a time, after the {len(spent)} that are finished"
    return [*lines, total]


def _overrides(options: StudyOptions) -> dict[str, Any]:
    return dict(_override(text) for text in options.set)


def _override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"set {text!r}: expected key=value, as in train.steps=100")
    try:
        return key.strip(), read_yaml(value)
    except StrictYAMLError as error:
        raise ConfigError(f"set {text!r}: not valid YAML ({error})") from None


def _collected(options: StudyOptions) -> Results:
    study, data, cells = asked(options)
    joined = read_joined(options.join, study, cells)
    for cell in to_run(cells, joined, options.runs):
        check_source(cell.run, options.runs)
    return collect(options.study.stem, study, data, cells, options.runs, joined, _overrides(options))


def _written(results: Results, folder: Path) -> Output:
    page = write_study(results, folder)
    logger.info("open %s", page)
    return Output({"page": str(page), "cells": _states(results)}, page)


def _states(results: Results) -> list[dict[str, Any]]:
    pairs = zip(results.cells, results.outcomes, strict=True)
    return [{"row": cell.row, "seed": cell.run.seed, "state": outcome.state} for cell, outcome in pairs]


def _folder(options: StudyOptions, data: Data | None) -> Path:
    """Where the pages go: those of a try beside those of the study."""
    name = data.name if data else "data"
    if options.set:
        name += f"-try-{short_checksum(json.dumps(plain_value(_overrides(options)), sort_keys=True))[:6]}"
    return options.out or options.runs / options.study.stem / name


def main() -> None:
    """Entry point; a recipe of the folder that it is called in is found, as under ``python -m``."""
    commands: dict[str, Callable[[Any], Output]]
    commands = {"run": run_study, "report": report_study, "plan": plan_study, "correlate": correlate_studies}
    description = "Train, measure and compare rows of settings at several seeds."
    own = {"again": "the same command", "failing": ", or cells failed"}
    with own_modules():
        run_command_line("vistok-study", description, commands, **own)
