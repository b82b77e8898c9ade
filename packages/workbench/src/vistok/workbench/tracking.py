"""``metrics.jsonl``: one line a measurement, equal to the bit for equal runs, and rewound when a run resumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vistok.workbench.files import write_atomically


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
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"stage": stage, "step": step, **values}) + "\n")

    def rewind(self, stage: str, step: int) -> None:
        """Forget what ``stage`` wrote after ``step``; resuming writes those lines again."""
        if not self.enabled:
            return
        kept = [line for line in read_metrics(self.path) if line["stage"] != stage or line["step"] <= step]
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in kept))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics file, in order; an empty list if there is none."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue  # only a crash in the middle of a write leaves such a line, as the last one
    return lines
