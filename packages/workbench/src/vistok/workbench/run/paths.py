"""Where a run keeps what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT = "default"
"""The sample set, and the evaluation, that is meant where none is named."""


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

    def generator_checkpoints(self, name: str) -> Path:
        """Training state of a generator."""
        return self.folder / "checkpoints" / name

    def generator(self, name: str) -> Path:
        """A trained generator's weights; its record is the .json beside it."""
        return self.folder / f"generator-{name}.safetensors"

    def samples(self, generator: str, name: str = DEFAULT) -> Path:
        """A set of generated images (uint8) and their labels."""
        return self.folder / f"samples-{generator}{_suffix(name)}.safetensors"

    @property
    def reconstructions(self) -> Path:
        """Validation images (uint8) through the tokenizer."""
        return self.folder / "reconstructions.safetensors"

    def evaluation(self, name: str = DEFAULT) -> Path:
        """All figures of an evaluation."""
        return self.folder / f"evaluation{_suffix(name)}.json"

    @property
    def pictures(self) -> Path:
        """Grids and plots as PNG."""
        return self.folder / "pictures"

    def report(self, name: str = DEFAULT) -> Path:
        """The page that shows an evaluation."""
        return self.folder / f"report{_suffix(name)}.html"


def _suffix(name: str) -> str:
    return "" if name == DEFAULT else f"--{name}"
