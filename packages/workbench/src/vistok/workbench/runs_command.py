"""The command that lists runs: how far each is, what it took, how good it is."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vistok.metrics.report.page import format_number
from vistok.workbench.config import ConfigError
from vistok.workbench.run.costs import WALL
from vistok.workbench.run.files import read_json
from vistok.workbench.run.folder import is_run, run_maker
from vistok.workbench.run.lock import is_locked
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.records import RECORDS, Record, Records

_TOKENIZER = ("refined", "reconstruction")  # the section of an evaluation that is the tokenizer's, by recipe
_COLUMNS = ("run", "recipe", "state", "minutes", "PSNR", "rFD", "gFD", "recognised")
_LEGEND = (
    "PSNR in dB and rFD, a Frechet distance, are of held-out images through the tokenizer, gFD and recognised of the\n"
    "first generator's samples. evaluation.json names the features: distances compare where they are the same."
)


@dataclass(frozen=True, kw_only=True)
class RunsOptions:
    """What the command takes."""

    runs: Path = Path("runs")
    """The folder of all runs."""
    json: bool = False
    """Print JSON, for scripts."""


@dataclass(frozen=True)
class RunSummary:
    """What is known of a run without its configuration.

    Attributes:
        name: Of its folder.
        recipe: That made it.
        state: In words.
        minutes: That its stages took, those of interrupted ones too.
        psnr, distance: Of held-out images through the tokenizer.
        samples_distance, recognised: Of the first generator's samples that were measured.
    """

    name: str
    recipe: str
    state: str
    minutes: float
    psnr: float | None
    distance: float | None
    samples_distance: float | None
    recognised: float | None


def summarise_run(folder: Path) -> RunSummary:
    """Read what a run's folder says of it; nothing is checked for damage.

    Raises:
        ConfigError: A record is damaged.
    """
    records = Records(folder).read()
    file = RunPaths(folder).evaluation()
    measures = read_json(file) if file.exists() else {}
    tokenizer: dict[str, Any] = next((measures[key] for key in _TOKENIZER if key in measures), {})
    samples: dict[str, Any] = next((value for key, value in measures.items() if key.startswith("samples ")), {})
    return RunSummary(
        name=folder.name,
        recipe=run_maker(folder),
        state=_state(folder, records),
        minutes=sum(record.cost.get(WALL, 0.0) for record in records.values()) / 60,
        psnr=tokenizer.get("psnr"),
        distance=tokenizer.get("frechet_distance"),
        samples_distance=samples.get("frechet_distance"),
        recognised=samples.get("recognised"),
    )


def runs_command() -> dict[str, Callable[[RunsOptions], None]]:
    """The command ``runs`` of a recipe, by name; it lists those of all recipes."""

    def list_runs(options: RunsOptions) -> None:
        """List the runs in a folder: state, time, main measures."""
        if not options.runs.is_dir():
            raise ConfigError(f"runs: expected a folder of runs, got {options.runs}, which is none")
        found = [summarise_run(folder) for folder in sorted(options.runs.iterdir()) if is_run(folder)]
        print(json.dumps([asdict(run) for run in found], indent=2) if options.json else _listed(found))  # noqa: T201

    return {"runs": list_runs}


def _state(folder: Path, records: Mapping[str, Record]) -> str:
    if not records:
        return "exported" if not (folder / RECORDS).exists() else "nothing done"
    newest = max(records, key=lambda name: Records(folder).file(name).stat().st_mtime)
    if is_locked(folder):
        return f"working: {newest}"
    stopped = [name for name, record in records.items() if not record.outputs]
    if stopped:
        return f"stopped in {stopped[0]}"
    return "finished" if any(name.startswith("report.") for name in records) else f"{newest} done"


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
