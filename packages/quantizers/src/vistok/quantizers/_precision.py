"""The float32 island: searches and norms run in float32, whatever autocast says outside."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def autocast_off(tensor: Tensor) -> AbstractContextManager[object]:
    """Return a context that switches autocast off on the device of ``tensor``; the meta device has none to switch."""
    if tensor.is_meta:
        return nullcontext()
    return torch.autocast(device_type=tensor.device.type, enabled=False)
