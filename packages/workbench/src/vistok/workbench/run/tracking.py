"""``metrics.jsonl``: one line a measurement, equal to the bit for equal runs, and rewound when a run resumes."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vistok.workbench.run.files import full_is_told, write_atomically
from vistok.workbench.run.json_numbers import to_json, with_numbers

logger = logging.getLogger(__name__)


class MetricsLog:
    """Append measurements to a JSON-lines file.

    Lines hold ``stage``, ``step`` and the values; never times of day or durations, so that two runs with one seed
    write the same file. A line cut off by a crash is dropped when the file is next opened.

    Args:
        path: The file; made if missing.
        enabled: ``False`` on the processes that do not write.
    """

    def __init__(self, path: Path, *, enabled: bool = True) -> None:
        self.path = path
        self.enabled = enabled

    def write(self, stage: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one line."""
        if self.enabled:
            line = to_json({"stage": stage, "step": step, **values}) + "\n"
            with full_is_told(self.path, len(line)), self.path.open("a", encoding="utf-8") as file:
                file.write(line)

    def rewind(self, stage: str, step: int) -> None:
        """Forget what ``stage`` wrote after ``step``; resuming writes those lines again."""
        if not self.enabled:
            return
        kept = [line for line in read_metrics(self.path) if line["stage"] != stage or line["step"] <= step]
        write_atomically(self.path, "".join(to_json(line) + "\n" for line in kept))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics file, in order; an empty list if there is none. The others are named in the log."""
    if not path.exists():
        return []
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), 1):
        try:
            line = with_numbers(json.loads(text or "null"))
        except (ValueError, RecursionError):
            line = None
        if isinstance(line, dict) and isinstance(line.get("stage"), str) and isinstance(line.get("step"), int):
            lines.append(line)
        elif text:
            logger.warning("%s: line %d is damaged and left out", path, number)  # a crash cuts off the last one
    return lines
