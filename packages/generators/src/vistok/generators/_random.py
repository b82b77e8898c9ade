"""Draws that give the same numbers on every device: made where the generator lives, then moved."""

from collections.abc import Sequence

import torch
from torch import Tensor


def _source(device: torch.device, generator: torch.Generator | None) -> torch.device:
    return device if generator is None else generator.device


def uniform(shape: Sequence[int], device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Float32 draws from U[0, 1)."""
    source = _source(device, generator)
    return torch.rand(tuple(shape), device=source, generator=generator, dtype=torch.float32).to(device)


def normal(
    shape: Sequence[int], device: torch.device, generator: torch.Generator | None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Draws from N(0, 1)."""
    source = _source(device, generator)
    return torch.randn(tuple(shape), device=source, generator=generator, dtype=dtype).to(device)


def gumbel(shape: Sequence[int], device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Float32 draws from the standard Gumbel distribution, finite."""
    source = _source(device, generator)
    exponential = torch.empty(tuple(shape), device=source, dtype=torch.float32).exponential_(generator=generator)
    return -exponential.clamp_min(1e-30).log().to(device)
