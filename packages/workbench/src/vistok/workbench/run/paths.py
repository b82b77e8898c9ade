"""Where a run keeps what."""

from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
DEFAULT = "default"
"""The sample set, and the evaluation, that is meant where none is named."""


@dataclass(frozen=True)
class RunPaths:
    """The files that every run has; a recipe names those of its own stages in a subclass.

    Args:
        folder: The run's folder.

    Example:
        >>> RunPaths(Path("runs/demo")).samples("small").name
        'samples-small.safetensors'
    """

    folder: Path

    @property
    def environment(self) -> Path:
        """Versions, machine, threads and command."""
        return self.folder / ENVIRONMENT

    @property
    def metrics(self) -> Path:
        """All curves, one JSON line a measurement."""
        return self.folder / METRICS

    @property
    def tokenizer(self) -> Path:
        """The trained tokenizer, a folder for ``from_pretrained``."""
        return self.folder / "tokenizer"

    @property
    def tokenizer_checkpoints(self) -> Path:
        """Training state of the tokenizer."""
        return self.checkpoints("tokenizer")

    @property
    def tokens(self) -> Path:
        """Cached tokens of the training images, a folder for ``open_tokens``."""
        return self.folder / "tokens"

    @property
    def reconstructions(self) -> Path:
        """Validation images (uint8) through the tokenizer."""
        return self.folder / "reconstructions.safetensors"

    def checkpoints(self, training: str) -> Path:
        """Training state, by the name of the training's curve."""
        return self.folder / "checkpoints" / training

    def generator(self, name: str) -> Path:
        """A trained generator's weights; its record is the .json beside it."""
        return self.folder / f"generator-{name}.safetensors"

    def samples(self, generator: str, name: str = DEFAULT) -> Path:
        """A set of generated images (uint8) and their labels."""
        return self.folder / f"samples-{generator}{_suffix(name)}.safetensors"

    def evaluation(self, name: str = DEFAULT) -> Path:
        """All measures of an evaluation."""
        return self.folder / f"evaluation{_suffix(name)}.json"

    @property
    def pictures(self) -> Path:
        """Grids and plots as PNG."""
        return self.folder / "pictures"

    @property
    def inspection(self) -> Path:
        """The page that looks into the codes."""
        return self.folder / "inspect.html"

    def report(self, name: str = DEFAULT) -> Path:
        """The page that shows an evaluation."""
        return self.folder / f"report{_suffix(name)}.html"


def _suffix(name: str) -> str:
    return "" if name == DEFAULT else f"--{name}"
