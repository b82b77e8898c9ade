"""The images of a training step: drawn for the whole batch, then divided among processes and micro-batches."""

from typing import NamedTuple, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor

from vistok.workbench.data.batch_order import batch_indices
from vistok.workbench.data.image_set import Images
from vistok.workbench.run.devices import to_device
from vistok.workbench.training.loop import TrainConfig, own_micro_batches


class Augmentation(Protocol):
    """How training images are varied; the section ``data`` of a configuration says it."""

    @property
    def horizontal_flip(self) -> bool:
        """Whether about half of the images are flipped."""

    @property
    def random_crop(self) -> bool:
        """Whether a random part of each image is shown, where the set was loaded for it."""


class MicroBatch(NamedTuple):
    """Images of one micro-batch, and which they are.

    Attributes:
        images: ``(b, C, H, W)`` in ``[-1, 1]``, on the device, flipped already.
        indices: ``(b,)`` int64, on the CPU: their places in the data set.
        flips: ``(b,)`` bool, on the CPU: which are flipped.
    """

    images: Tensor
    indices: Tensor
    flips: Tensor


def load_micro_batches(
    images: Images, settings: TrainConfig, augmentation: Augmentation, step: int, accelerator: Accelerator, *, seed: int
) -> list[MicroBatch]:
    """This process's micro-batches of a step's global batch; they do not depend on how the batch is divided.

    Args:
        images: The data set.
        settings: Says how many images the global batch has, and how many micro-batches a process.
        augmentation: How they are varied.
        step: The step's number.
        accelerator: Says which process this is, of how many, and on which device.
        seed: Decides the order of the images, the flips and the crops.

    Raises:
        ValueError: The batch does not divide evenly.
    """
    drawn = batch_indices(len(images), settings.batch_size, step, seed)
    draws = torch.Generator().manual_seed(seed * 7_919 + step)
    flips = torch.rand(len(drawn), generator=draws) < 0.5
    flips &= augmentation.horizontal_flip
    crops = torch.rand(len(drawn), 3, generator=draws)
    batches = []
    own = (own_micro_batches(values, settings.accumulation, accelerator) for values in (drawn, flips, crops))
    for chunk, flip, crop in zip(*own, strict=True):
        batch = images.batch(chunk, crop) if augmentation.random_crop else images.batch(chunk)
        if augmentation.horizontal_flip:
            batch = torch.where(flip[:, None, None, None], batch.flip(-1), batch)
        batches.append(MicroBatch(to_device(batch, accelerator.device), chunk, flip))
    return batches
