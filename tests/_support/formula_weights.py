"""Weights and inputs that follow from their names alone, so that golden vectors need no file of weights."""

import math

import torch
from torch import Tensor


def formula(name: str, shape: tuple[int, ...], *, size: float = 1.0) -> Tensor:
    """Values spread over ``[-size, size]``, different for every name."""
    phase = sum((place + 1) * ord(letter) for place, letter in enumerate(name)) % 1009
    count = torch.arange(math.prod(shape), dtype=torch.float64)
    return (size * torch.sin(count * (1.0 + phase / 7) + phase)).float().reshape(shape)


def weights(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """Matrices scaled by their input size, gains around one."""
    result = {}
    for name, shape in shapes.items():
        if len(shape) == 1 and name.endswith("weight"):
            result[name] = 1 + formula(name, tuple(shape), size=0.2)
        else:
            result[name] = formula(name, tuple(shape), size=1.5 / math.sqrt(shape[-1]) if len(shape) == 2 else 0.5)
    return result
