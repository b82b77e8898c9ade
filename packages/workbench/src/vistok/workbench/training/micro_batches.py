"""The images of a training's steps: drawn for the whole batch, then divided among processes and micro-batches."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor

from vistok.metrics import from_uint8
from vistok.workbench.data.batches import Draw, load_batches
from vistok.workbench.data.drawing import step_indices
from vistok.workbench.data.image_set import Images
from vistok.workbench.run.devices import to_device
from vistok.workbench.training.loop import TrainConfig, own_micro_batches


class Augmentation(Protocol):
    """How training images are varied; the section ``data`` of a configuration says it."""

    @property
    def horizontal_flip(self) -> bool:
        """Whether about half of the images are flipped."""

    @property
    def crop_numbers(self) -> int:
        """How many random numbers say which part of an image is shown, where the set was loaded for it; 0: none."""


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


def training_batches(
    images: Images,
    settings: TrainConfig,
    augmentation: Augmentation,
    accelerator: Accelerator,
    *,
    start: int,
    seed: int,
) -> Iterator[list[MicroBatch]]:
    """This process's micro-batches of each step's global batch; they do not depend on how the batch is divided.

    They are read ahead (:func:`load_batches`), and are a function of the step: a training that resumes says where.

    Args:
        images: The data set.
        settings: How many steps there are, images in the global batch, and micro-batches a process.
        augmentation: How they are varied.
        accelerator: Says which process this is, of how many, and on which device.
        start: The first step.
        seed: Decides the order of the images, the flips and the crops.

    Raises:
        ValueError: The batch does not divide evenly, or images cannot be read.
    """
    device = accelerator.device
    plan = _plan(images, settings, augmentation, accelerator, start, seed)
    loaded = load_batches(images, plan, pin_memory=device.type == "cuda")
    for _ in range(start, settings.steps):
        yield [
            MicroBatch(from_uint8(to_device(pixels, device)), draw.indices, draw.flips)
            for draw, pixels in islice(loaded, settings.accumulation)
        ]


def _plan(
    images: Images, settings: TrainConfig, augmentation: Augmentation, accelerator: Accelerator, start: int, seed: int
) -> Iterator[Draw]:
    for step in range(start, settings.steps):
        drawn = step_indices(images, settings.batch_size, step, seed)
        draws = torch.Generator().manual_seed(seed * 7_919 + step)
        flips = torch.rand(len(drawn), generator=draws) < 0.5
        flips &= augmentation.horizontal_flip
        crops = torch.rand(len(drawn), augmentation.crop_numbers, generator=draws)
        own = (own_micro_batches(values, settings.accumulation, accelerator) for values in (drawn, flips, crops))
        for chunk, flip, crop in zip(*own, strict=True):
            yield Draw(chunk, flip, crop if augmentation.crop_numbers else None)
