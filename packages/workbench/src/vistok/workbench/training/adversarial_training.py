"""The discriminator's side of adversarial training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from vistok.workbench.training.finite import check_finite
from vistok.workbench.training.micro_step import sync_on_last
from vistok.workbench.training.precision import mixed_precision


def discriminator_step(
    discriminator: Any,
    optimizer: Any,
    reals: Sequence[Tensor],
    fakes: Sequence[Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
    accelerator: Accelerator,
    *,
    precision: str,
    clip_norm: float,
    step: int,
    folder: Path,
) -> Tensor:
    """One update of the discriminator: real and reconstructed images of a micro-batch, each in a pass of its own.

    So a batch norm sees reconstructions alone here too, as it does when the generator is judged. In one pass the
    statistics of both together tell the discriminator which is which, and what it learns is of no use there.

    Args:
        discriminator: As ``accelerator.prepare`` returned it; any module that gives logits, image by image.
        optimizer: Its optimizer, prepared too.
        reals: Real images, one tensor a micro-batch.
        fakes: Their reconstructions, detached.
        loss: From real and fake logits (float32) to a scalar.
        accelerator: Of this training.
        precision: ``"bf16"`` for autocast, or ``"no"``; that of the generator's step.
        clip_norm: The largest norm of the gradients; 0 leaves them as they are.
        step: The step's number, for errors.
        folder: Where a batch with a loss that is not finite is kept.

    Returns:
        The loss, the mean over the micro-batches, detached.

    Raises:
        NonFiniteLossError: The loss is not finite; its term is named ``discriminator``.
    """
    total = torch.zeros((), device=accelerator.device)
    optimizer.zero_grad(set_to_none=True)
    for index, (real, fake) in enumerate(zip(reals, fakes, strict=True)):
        with sync_on_last(accelerator, discriminator, index, len(reals)):
            with mixed_precision(accelerator.device, precision):
                real_logits, fake_logits = discriminator(real), discriminator(fake)
            term = loss(real_logits.float(), fake_logits.float())
            check_finite({"discriminator": term}, step, {"images": real, "reconstruction": fake}, folder)
            accelerator.backward(term / len(reals))
        total = total + term.detach() / len(reals)
    if clip_norm:
        accelerator.clip_grad_norm_(discriminator.parameters(), clip_norm)
    optimizer.step()
    return total
