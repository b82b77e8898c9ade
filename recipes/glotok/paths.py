"""Where a run keeps what."""

from pathlib import Path

from vistok.workbench.run import paths


class RunPaths(paths.RunPaths):
    """The files of one run, by stage."""

    @property
    def teacher(self) -> Path:
        """Centres and histogram of the teacher; its record is the .json beside it."""
        return self.folder / "teacher.safetensors"

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
