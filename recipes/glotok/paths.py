"""Where a run keeps what."""

from pathlib import Path

from vistok.workbench.run import paths


class RunPaths(paths.RunPaths):
    """The files of one run, by stage."""

    @property
    def teacher(self) -> Path:
        """Centres and histogram of the teacher; its record is the .json beside it."""
        return self.folder / "teacher.safetensors"
