"""The images of a training step: drawn for the whole batch, then divided among processes and micro-batches."""

from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor

from vistok.workbench.data.batch_order import batch_indices
from vistok.workbench.data.image_set import Images
from vistok.workbench.training.loop import own_micro_batches


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
    images: Images,
    batch_size: int,
    step: int,
    accelerator: Accelerator,
    *,
    seed: int,
    accumulation: int = 1,
    horizontal_flip: bool = False,
    random_crop: bool = False,
) -> list[MicroBatch]:
    """This process's micro-batches of a step's global batch; they do not depend on how the batch is divided.

    Args:
        images: The data set.
        batch_size: Of the global batch.
        step: The step's number.
        accelerator: Says which process this is, of how many, and on which device.
        seed: Decides the order of the images, the flips and the crops.
        accumulation: Micro-batches a process and step.
        horizontal_flip: Whether about half of the images are flipped.
        random_crop: Whether a random part of each image is shown, where the set was loaded for it.

    Raises:
        ValueError: The batch does not divide evenly.
    """
    drawn = batch_indices(len(images), batch_size, step, seed)
    draws = torch.Generator().manual_seed(seed * 7_919 + step)
    flips = torch.rand(len(drawn), generator=draws) < 0.5
    flips &= horizontal_flip
    crops = torch.rand(len(drawn), 3, generator=draws)
    batches = []
    own = (own_micro_batches(values, accumulation, accelerator) for values in (drawn, flips, crops))
    for chunk, flip, crop in zip(*own, strict=True):
        batch = images.batch(chunk, crop) if random_crop else images.batch(chunk)
        if horizontal_flip:
            batch = torch.where(flip[:, None, None, None], batch.flip(-1), batch)
        batches.append(MicroBatch(batch.to(accelerator.device), chunk, flip))
    return batches
