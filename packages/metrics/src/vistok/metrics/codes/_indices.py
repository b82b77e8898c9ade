"""Checks of tokens."""

import math

import torch
from torch import Tensor


def checked_indices(indices: Tensor, size: int, name: str = "indices") -> Tensor:
    """Indices on the CPU as int64, if they are whole numbers below ``size``."""
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise TypeError(f"{name} must be whole numbers, got {indices.dtype}")
    found = indices.detach().cpu().long()
    if found.numel() and not 0 <= int(found.min()) <= int(found.max()) < size:
        raise ValueError(f"{name} must be 0 to {size - 1}, got {int(found.min())} to {int(found.max())}")
    return found


def entropy_bits(counts: Tensor) -> Tensor:
    """Entropy of counts along the last dimension, in bits; 0 where there are none."""
    shares = counts.double() / counts.sum(dim=-1, keepdim=True).clamp_min(1)
    entropy: Tensor = torch.special.entr(shares).sum(dim=-1) / math.log(2.0)
    return entropy
