"""Where a run keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunPaths:
    """The files of one run, by stage; a recipe adds its own in a subclass.

    Args:
        folder: The run's folder.

    Example:
        >>> RunPaths(Path("runs/demo")).samples("xar").name
        'samples-xar.safetensors'
    """

    folder: Path

    @property
    def environment(self) -> Path:
        """Versions, machine, threads and command."""
        return self.folder / "environment.json"

    @property
    def metrics(self) -> Path:
        """All curves, one JSON line a measurement."""
        return self.folder / "metrics.jsonl"

    @property
    def tokenizer_checkpoints(self) -> Path:
        """Training state of the tokenizer."""
        return self.folder / "checkpoints" / "tokenizer"

    @property
    def tokenizer(self) -> Path:
        """The trained tokenizer, a folder for ``from_pretrained``."""
        return self.folder / "tokenizer"

    @property
    def tokens(self) -> Path:
        """Cached tokens of the training images."""
        return self.folder / "tokens.safetensors"

    def generator_checkpoints(self, kind: str) -> Path:
        """Training state of one kind of generator."""
        return self.folder / "checkpoints" / kind

    def generator(self, kind: str) -> Path:
        """The trained generator's weights; its record is the .json beside it."""
        return self.folder / f"generator-{kind}.safetensors"

    def samples(self, kind: str) -> Path:
        """Generated images (uint8) and their labels."""
        return self.folder / f"samples-{kind}.safetensors"

    @property
    def reconstructions(self) -> Path:
        """Validation images (uint8) through the tokenizer."""
        return self.folder / "reconstructions.safetensors"

    @property
    def evaluation(self) -> Path:
        """All figures."""
        return self.folder / "evaluation.json"

    @property
    def pictures(self) -> Path:
        """Grids and plots as PNG."""
        return self.folder / "pictures"

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"
