"""Which dtype keys and values are kept in while sampling."""

import torch
from torch import Tensor


def activation_dtype(like: Tensor) -> torch.dtype:
    """Autocast decides it where it is on, else the weights; on CPUs, which attend in float32, no half precision."""
    if like.is_meta or not torch.is_autocast_enabled(like.device.type):
        dtype = like.dtype
    else:
        dtype = torch.get_autocast_dtype(like.device.type)
    return torch.float32 if like.device.type == "cpu" and dtype.itemsize < 4 else dtype
