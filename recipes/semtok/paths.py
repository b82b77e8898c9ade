"""Where a run keeps what."""

from pathlib import Path

from vistok.workbench.run import paths


class RunPaths(paths.RunPaths):
    """The files of one run, by stage."""

    @property
    def alignment(self) -> Path:
        """Cached features of the frozen backbone; the file's metadata say what they were made from."""
        return self.folder / "alignment.safetensors"

    @property
    def refiner_checkpoints(self) -> Path:
        """Training state of stage II."""
        return self.checkpoints("refiner")

    @property
    def refined(self) -> Path:
        """The tokenizer with its refiner, for ``SemTok.from_pretrained``."""
        return self.folder / "refined"

    @property
    def last_tokenizer(self) -> Path:
        """The tokenizer of the last stage that is trained: with the refiner, or of stage I alone."""
        return self.refined if (self.refined / "config.json").exists() else self.tokenizer

    def progress(self, generator: str, name: str = paths.DEFAULT) -> Path:
        """Samples by the number of decoding steps, and images while they are being generated."""
        samples = self.samples(generator, name)
        return samples.with_name(samples.name.replace("samples", "progress", 1))

    def swaps(self, name: str = paths.DEFAULT) -> Path:
        """Images of an evaluation (uint8) with one token of another image."""
        evaluation = self.evaluation(name)
        return evaluation.with_name(evaluation.name.replace("evaluation", "swaps", 1)).with_suffix(".safetensors")
