"""The float32 island: every loss computes in float32 or wider, whatever autocast says outside."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


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
