"""What an evaluation gives: numbers by section, every choice that moves one of them, and what could not be measured."""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vistok.metrics.harness.labels import label
from vistok.metrics.not_measurable import NotMeasurableError

FILE = "evaluation.json"
TABLE = "evaluation.md"

Measures = dict[str, dict[str, float]]


@dataclass
class Evaluation:
    """Numbers, and all that is to be said beside them.

    Attributes:
        choices: Everything that moves a number (counts, crop, filter, network and its weights, versions), what was
            evaluated, and how long it took.
        measures: Numbers by section and name.
        left_out: Why a measure is missing, by ``section: name``.
    """

    choices: dict[str, Any] = field(default_factory=dict)
    measures: Measures = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, section: str, what: str, measure: Callable[[], Mapping[str, float]]) -> None:
        """Put what a call gives into a section, or the reason why the data do not allow it."""
        try:
            values = {name: float(value) for name, value in measure().items()}
        except NotMeasurableError as error:
            self.left_out[f"{section}: {what}"] = str(error)
            return
        self.measures.setdefault(section, {}).update(values)

    def rows(self) -> list[tuple[str, str, float]]:
        """Section, name as tables call it, and value of every number."""
        network = str(self.choices.get("network", "no network"))
        return [
            (section, label(name, network), value)
            for section, values in self.measures.items()
            for name, value in values.items()
        ]

    def write(self, folder: str | Path) -> Path:
        """Write ``evaluation.json`` and ``evaluation.md`` into a folder, each whole or not at all; the first's path."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        replace_file(place / TABLE, self.markdown())
        numbers = {
            section: {name: value if math.isfinite(value) else str(value) for name, value in values.items()}
            for section, values in self.measures.items()
        }
        content = {"choices": self.choices, "measures": numbers, "left out": self.left_out}
        replace_file(place / FILE, json.dumps(content, indent=2, allow_nan=False) + "\n")
        return place / FILE

    def markdown(self) -> str:
        """A table of the numbers, one of the choices, and what was left out."""
        parts = [table_row("section", "measure", "value"), "|---|---|---|"]
        parts += [table_row(section, name, number(value)) for section, name, value in self.rows()]
        parts += [
            "",
            table_row("choice", "value"),
            "|---|---|",
            *(table_row(*choice) for choice in self.choices.items()),
        ]
        if self.left_out:
            parts += ["", "Left out:", "", *(f"- {what}: {why}" for what, why in self.left_out.items())]
        return "\n".join(parts) + "\n"


def read_evaluation(path: str | Path) -> Evaluation:
    """An :class:`Evaluation` from its file, or from the folder that it is in.

    Args:
        path: ``evaluation.json``, or its folder.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file is no evaluation; the message names it.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: there is no such file")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        measures = {
            section: {name: float(value) for name, value in values.items()}
            for section, values in content["measures"].items()
        }
        return Evaluation(dict(content["choices"]), measures, dict(content["left out"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{file}: expected an evaluation with choices, measures and left out, got {reason}") from error


def number(value: float) -> str:
    """A number with five significant digits, whole ones in full.

    Example:
        >>> number(27.123456), number(50000.0), number(float("inf"))
        ('27.123', '50,000', 'inf')
    """
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.5g}"


def ready_folder(folder: str | Path | None) -> Path | None:
    """The folder, made where there is none; that it cannot be written to is told before the work, not after it.

    Raises:
        OSError: It cannot be made or written to.
    """
    if folder is None:
        return None
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    probe = place / f".writable.{os.getpid()}"
    probe.touch()
    probe.unlink()
    return place


def replace_file(path: Path, text: str) -> None:
    """Write a text file whole or not at all; bytes of a file's name that are no UTF-8 are written out."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def table_row(*cells: Any) -> str:
    r"""A row of a Markdown table, whatever the cells hold.

    Example:
        >>> table_row("a|b", 2)
        '| a\\|b | 2 |'
    """
    return f"| {' | '.join(' '.join(str(cell).split()).replace('|', chr(92) + '|') for cell in cells)} |"
