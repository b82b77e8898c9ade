"""The command that shows finished runs side by side."""

import logging
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro

from vistok.metrics.report.page import render_report
from vistok.workbench.config import ConfigError
from vistok.workbench.output import Output, OutputOptions
from vistok.workbench.reporting.comparison import compared_runs, comparison_sections
from vistok.workbench.run.files import write_atomically
from vistok.workbench.run.folder import is_run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CompareOptions(OutputOptions):
    """What the command takes."""

    names: tyro.conf.Positional[tuple[Path, ...]]
    """Two runs or more, of any recipe: names in the folder of runs, or paths. The first is what others are compared
    with."""
    runs: Path = Path("runs")
    """The folder of all runs."""
    out: Path | None = None
    """The page to write; by default RUNS/compare-A-B.html."""


def compare_command() -> dict[str, Callable[[CompareOptions], Output]]:
    """The command ``compare`` of a recipe, by name; it takes runs of all recipes."""

    def compare(options: CompareOptions) -> Output:
        """Write one page of several runs side by side: settings that differ, measures, images, samples, curves."""
        folders = [_folder(name, options.runs) for name in options.names]
        if not 2 <= len(folders) <= len(string.ascii_uppercase):
            raise ConfigError(f"compare: expected 2 to {len(string.ascii_uppercase)} runs, got {len(folders)}")
        names = [folder.name for folder in folders]
        page = options.out or options.runs / f"compare-{'-'.join(names)[:120]}.html"
        sections = comparison_sections(compared_runs(folders))
        write_atomically(page, render_report("Runs side by side", sections, subtitle=" · ".join(names)))
        logger.info("open %s", page)
        return Output({"page": str(page), "runs": [str(folder) for folder in folders]}, page)

    return {"compare": compare}


def _folder(name: Path, runs: Path) -> Path:
    for folder in (runs / name, name):
        if is_run(folder):
            return folder
    raise ConfigError(f"compare: {name} is no run, neither in {runs} nor as a path")
