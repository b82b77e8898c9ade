"""The command that lists runs: how far each is, what it took, how good it is."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vistok.metrics.report.page import format_number
from vistok.workbench.config import ConfigError
from vistok.workbench.output import Output, OutputOptions
from vistok.workbench.run.folder import is_run
from vistok.workbench.run.summary import RunSummary, summarise_run

logger = logging.getLogger(__name__)

_COLUMNS = ("run", "recipe", "state", "minutes", "PSNR", "rFD", "gFD", "recognised")
_LEGEND = (
    "PSNR in dB and rFD, a Frechet distance, are of held-out images through the tokenizer, gFD and recognised of the\n"
    "first generator's samples. evaluation.json names the features: distances compare where they are the same."
)


@dataclass(frozen=True, kw_only=True)
class RunsOptions(OutputOptions):
    """What the command takes."""

    runs: Path = Path("runs")
    """The folder of all runs."""


def runs_command() -> dict[str, Callable[[RunsOptions], Output]]:
    """The command ``runs`` of a recipe, by name; it lists those of all recipes."""

    def list_runs(options: RunsOptions) -> Output:
        """List the runs in a folder: state, time, main measures."""
        if not options.runs.is_dir():
            raise ConfigError(f"runs: expected a folder of runs, got {options.runs}, which is none")
        found = [_summary(folder) for folder in sorted(options.runs.iterdir()) if is_run(folder)]
        return Output({"runs": [asdict(run) for run in found]}, text=_listed(found))

    return {"runs": list_runs}


def _summary(folder: Path) -> RunSummary:
    try:
        return summarise_run(folder)
    except ValueError as error:  # of the mark, a record or the evaluation; a newer version's may hold more
        logger.warning("runs: %s", error)
        return RunSummary(folder.name, "", "damaged", 0.0, None, None, None, None)


def _listed(runs: Sequence[RunSummary]) -> str:
    if not runs:
        return "no runs"
    lines = [_COLUMNS, *([*_words(run)] for run in runs)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    first_number = _COLUMNS.index("minutes")
    rows = (
        "  ".join(
            cell.ljust(width) if column < first_number else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
    return "\n".join([*rows, "", _LEGEND])


def _words(run: RunSummary) -> list[str]:
    def number(value: Any) -> str:
        return "" if value is None else format_number(float(value))

    recognised = "" if run.recognised is None else f"{run.recognised:.1%}"
    measures = [number(value) for value in (run.psnr, run.distance, run.samples_distance)]
    return [run.name, run.recipe, run.state, f"{run.minutes:.1f}", *measures, recognised]
