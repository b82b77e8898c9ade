"""What keeps the numbers sound: float32 whatever autocast says outside, and unit length of any vector."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

SMALLEST_LENGTH = 1e-8
SHRINK = 2.0**-80  # of what is too long for its squares; a power of two changes no digit


def autocast_off(tensor: Tensor) -> AbstractContextManager[object]:
    """Return a context that switches autocast off on the device of ``tensor``; the meta device has none to switch."""
    if tensor.is_meta:
        return nullcontext()
    return torch.autocast(device_type=tensor.device.type, enabled=False)


def unit(x: Tensor) -> Tensor:
    """Divide by the length along the last dimension; a vector shorter than 1e-8 becomes zero and gets no gradient.

    A vector so long that the sum of its squares overflows is shrunk first.
    """
    overflown = torch.linalg.vector_norm(x.detach(), dim=-1, keepdim=True).isinf()
    x = x * torch.where(overflown, SHRINK, 1.0).to(x.dtype)
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / torch.where(length < SMALLEST_LENGTH, torch.inf, length)
