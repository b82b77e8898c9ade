"""Trackers that follow a training beside ``metrics.jsonl``, through accelerate: TensorBoard, W&B, Trackio."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import ProjectConfiguration

from vistok.workbench.config import ConfigError

FOLDER = "trackers"


def check_trackers(names: Sequence[str]) -> None:
    """Raise :class:`ConfigError` unless all are installed."""
    installed = {str(tracker) for tracker in get_available_trackers()}
    for name in names:
        if name not in installed:
            raise ConfigError(f"track: {name} is not installed; pip install {name}, or leave it out")


@contextlib.contextmanager
def tracked(
    names: Sequence[str], stage: str, folder: Path, accelerator: Accelerator
) -> Iterator[Callable[[Mapping[str, float], int], None]]:
    """Give a function that tells all trackers the values of a step; the first process's count.

    Args:
        names: Which trackers; none does nothing.
        stage: What is trained: with the run's name, that of the tracker's run.
        folder: The run's. What trackers keep on disk goes to ``folder/trackers``.
        accelerator: Of the training.
    """
    if not names:
        yield lambda values, step: None
        return
    accelerator.project_configuration = ProjectConfiguration(logging_dir=str(folder / FOLDER))
    accelerator.log_with = list(names)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    accelerator.init_trackers(f"{folder.name}-{stage}", init_kwargs={"wandb": {"dir": str(folder / FOLDER)}})
    try:
        yield lambda values, step: accelerator.log(dict(values), step=step)
    finally:
        for tracker in accelerator.trackers:  # accelerator.end_training() would part the processes, too
            tracker.finish()
        accelerator.trackers = []
