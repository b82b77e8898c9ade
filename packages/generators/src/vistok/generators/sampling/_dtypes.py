"""Which dtype linear layers give here and now."""

import torch
from torch import Tensor


def activation_dtype(like: Tensor) -> torch.dtype:
    """Autocast decides it where autocast is on, else the weights."""
    if not like.is_meta and torch.is_autocast_enabled(like.device.type):
        return torch.get_autocast_dtype(like.device.type)
    return like.dtype
