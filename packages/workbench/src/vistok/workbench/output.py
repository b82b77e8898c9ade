"""What a command leaves on the standard output: nothing, the text that was asked for, a path, or one JSON object."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vistok.workbench.run.json_numbers import to_json


@dataclass(frozen=True)
class OutputOptions:
    """How much every command says. All that it says on the way goes to the standard error."""

    quiet: bool = False
    """Say nothing but errors; print where the result lies."""
    json: bool = False
    """For scripts: print one JSON object at the end. All else goes to the standard error."""


@dataclass(frozen=True)
class Output:
    """What a command has made.

    Args:
        values: For ``--json``, where numbers that are not finite become texts.
        place: Where the result lies, for ``--quiet``.
        text: What is printed in any case but that of ``--json``, such as a table that was asked for.
        code: The exit code.

    Example:
        >>> Output({"page": "report.html"}, Path("report.html")).shown(OutputOptions(quiet=True))
        'report.html'
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    place: Path | None = None
    text: str = ""
    code: int = 0

    def shown(self, options: OutputOptions) -> str:
        """What these options ask to be printed."""
        if options.json:
            return to_json(self.values, indent=2, ensure_ascii=False)
        return self.text or (str(self.place) if options.quiet and self.place is not None else "")

    def write(self, options: OutputOptions) -> None:
        """Print it."""
        if text := self.shown(options):
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
