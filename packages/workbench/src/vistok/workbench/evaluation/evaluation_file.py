"""The file that the measures of an evaluation go to, beside the metrics and the log, and back."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from vistok.workbench.run.files import write_atomically
from vistok.workbench.run.json_numbers import read_measures, to_json
from vistok.workbench.run.paths import DEFAULT, RunPaths
from vistok.workbench.run.processes import process_index
from vistok.workbench.run.tracking import MetricsLog

logger = logging.getLogger(__name__)


def write_evaluation(paths: RunPaths, name: str, measures: Mapping[str, Any], sections: Iterable[str]) -> None:
    """Write the measures of an evaluation, in the first process; log some sections and append them to the metrics.

    Args:
        paths: The run.
        name: The evaluation's.
        measures: All of it.
        sections: Names in ``measures`` whose values are numbers by name; those that are missing are left out.
    """
    if process_index() > 0:
        return
    flat = {f"{section}: {key}": value for section in sections for key, value in measures.get(section, {}).items()}
    for section in sections:
        if values := measures.get(section, {}):
            numbers = (f"{key} {value:.4g}" for key, value in values.items())
            logger.info("%s: %s", section, ", ".join(numbers).replace("_", " "))
    write_atomically(paths.evaluation(name), to_json(measures, indent=2) + "\n")
    metrics = MetricsLog(paths.metrics)
    stage = "evaluation" if name == DEFAULT else f"evaluation {name}"
    metrics.rewind(stage, -1)
    metrics.write(stage, 0, flat)


def load_evaluation(paths: RunPaths, name: str = DEFAULT) -> dict[str, Any]:
    """The measures of an evaluation."""
    return read_measures(paths.evaluation(name))
