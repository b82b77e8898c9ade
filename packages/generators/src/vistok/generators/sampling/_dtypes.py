"""Which dtypes layers and attention work in while sampling."""

import torch
from torch import Tensor


def layer_dtype(like: Tensor) -> torch.dtype:
    """What linear layers give here and now: autocast decides it where it is on, else the weights."""
    if not like.is_meta and torch.is_autocast_enabled(like.device.type):
        return torch.get_autocast_dtype(like.device.type)
    return like.dtype


def cache_dtype(like: Tensor) -> torch.dtype:
    """What keys and values of single queries are kept in: as layers give them; on CPUs float32 or wider."""
    dtype = layer_dtype(like)
    return torch.promote_types(dtype, torch.float32) if like.device.type == "cpu" else dtype
