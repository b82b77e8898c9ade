"""A toy recipe of two stages in this process."""

from dataclasses import dataclass

from vistok.workbench.command_line import opened_stage
from vistok.workbench.config import Config
from vistok.workbench.options import RunOptions
from vistok.workbench.run.stages import Stage, Stages


class Settings(Config):
    steps: int = 1


@dataclass(frozen=True)
class Options(RunOptions):
    """What every command takes."""

    loud: bool = False
    """Whether to shout."""


def toy(folder, calls, options=None, images=None):
    """Two stages, and commands that note that they were called."""
    listed = [
        Stage("train", ("steps",), (folder / "weights",), checkpoints=folder / "checkpoints"),
        Stage("report", (), (folder / "page",), needs=("train",)),
    ]
    stages = Stages("toy", (options or Options()).hint(), folder, Settings(), listed, images)

    def command(stage):
        def run(options):
            calls.append((stage.name, options))
            with opened_stage(options, stages, stage):
                stage.outputs[0].write_text(stage.name)

        return run

    return stages, {stage.name: command(stage) for stage in listed}
