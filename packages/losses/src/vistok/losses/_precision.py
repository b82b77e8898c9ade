"""What keeps the numbers sound: float32 or wider whatever autocast says outside, and directions of any vector."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

# Below this largest component a vector counts as zero: its direction is noise and 1 / norm would blow the gradient up.
SMALLEST_COMPONENT = 1e-30


def autocast_off(tensor: Tensor) -> AbstractContextManager[object]:
    """Return a context that switches autocast off on the device of ``tensor``; the meta device has none to switch."""
    if tensor.is_meta:
        return nullcontext()
    return torch.autocast(device_type=tensor.device.type, enabled=False)


def not_below_zero(loss: Tensor) -> Tensor:
    """Return ``loss``, with ``0`` for what rounding put below; the gradient stays what it is."""
    return torch.where(loss < 0, loss - loss.detach(), loss)


def widen(tensor: Tensor) -> Tensor:
    """Return ``tensor`` in float32, or unchanged when it is float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def unit_directions(vectors: Tensor, *, dim: int) -> Tensor:
    """Return ``vectors`` divided by their norm along ``dim``; a zero vector stays zero and gets no gradient.

    Divides by the largest component first, so squares neither overflow nor vanish. A vector with a non-finite
    component becomes NaN.
    """
    largest = vectors.detach().abs().amax(dim=dim, keepdim=True)
    is_zero = largest < SMALLEST_COMPONENT
    scaled = vectors * torch.where(is_zero, 0.0, largest.reciprocal())  # divisions are slower than products
    squared = scaled.square().sum(dim=dim, keepdim=True)
    return scaled * torch.where(is_zero, 1.0, squared).rsqrt()
