"""Trackers that follow a training beside ``metrics.jsonl``, through accelerate: TensorBoard, W&B, Trackio."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import ProjectConfiguration
from torch import Tensor

from vistok.metrics import to_uint8
from vistok.workbench.config import ConfigError

logger = logging.getLogger(__name__)

FOLDER = "trackers"
_PAIRS = 8  # a picture
_LAYOUT: dict[str, dict[str, Any]] = {"tensorboard": {"dataformats": "NHWC"}}  # the others expect it


def check_trackers(names: Sequence[str]) -> None:
    """Raise :class:`ConfigError` unless all are installed."""
    installed = {str(tracker) for tracker in get_available_trackers()}
    for name in names:
        if name not in installed:
            raise ConfigError(f"track: {name} is not installed; pip install {name}, or leave it out")


class Trackers:
    """All trackers of a training, or none; what the first process says counts.

    Args:
        accelerator: Of the training, with its trackers begun.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._told = False

    def values(self, values: Mapping[str, float], step: int) -> None:
        """Tell all of them the values of a step."""
        self._accelerator.log(dict(values), step=step)

    def pictures(self, originals: Tensor, made: Tensor, step: int) -> None:
        """Show those that take pictures the first few images, each beside what a step made of it.

        Args:
            originals: ``(N, C, H, W)`` in ``[-1, 1]``.
            made: The same shape; what is out of that range is clipped.
            step: The number of steps done.
        """
        sides = [side[:_PAIRS].detach().float().cpu().clamp(-1, 1) for side in (originals, made)]
        pairs = to_uint8(torch.cat(sides, dim=3)).permute(0, 2, 3, 1).numpy()
        for tracker in self._accelerator.trackers:
            if hasattr(tracker, "log_images"):
                tracker.log_images({"reconstructions": pairs}, step=step, **_LAYOUT.get(tracker.name, {}))
            elif not self._told:
                logger.warning("track: accelerate gives %s numbers only, no pictures", tracker.name)
                self._told = True


@contextlib.contextmanager
def tracked(names: Sequence[str], stage: str, folder: Path, accelerator: Accelerator) -> Iterator[Trackers]:
    """Give what tells all trackers of a training.

    Args:
        names: Which trackers; none does nothing.
        stage: What is trained: with the run's name, that of the tracker's run.
        folder: The run's. What trackers keep on disk goes to ``folder/trackers``.
        accelerator: Of the training.
    """
    if not names:
        yield Trackers(accelerator)
        return
    accelerator.project_configuration = ProjectConfiguration(logging_dir=str(folder / FOLDER))
    accelerator.log_with = list(names)
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    accelerator.init_trackers(f"{folder.name}-{stage}", init_kwargs={"wandb": {"dir": str(folder / FOLDER)}})
    try:
        yield Trackers(accelerator)
    finally:
        for tracker in accelerator.trackers:  # accelerator.end_training() would part the processes, too
            tracker.finish()
        accelerator.trackers = []
