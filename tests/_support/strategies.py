"""Hypothesis strategies for tensors: small sides, bounded values, plain strided CPU memory."""

import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

seeds = st.integers(0, 2**32 - 1)
"""Seeds of a `torch.Generator`."""

spatial_shapes = st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple)
"""Spatial dimensions of a feature map, none to three of them."""


def tensors(
    shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]], limit: float = 8.0
) -> st.SearchStrategy[Tensor]:
    """Float32 tensors with values in `[-limit, limit]`."""
    values = st.floats(-limit, limit, width=32, allow_subnormal=False)
    return hnp.arrays("float32", shape, elements=values).map(lambda array: torch.from_numpy(array.copy()))


def integer_tensors(shape: tuple[int, ...], limit: int = 4) -> st.SearchStrategy[Tensor]:
    """Float32 tensors of small whole numbers: products and sums of them are exact, and ties are common."""
    values = st.integers(-limit, limit)
    return hnp.arrays("int64", shape, elements=values).map(lambda array: torch.from_numpy(array.copy()).float())


def seeded(seed: int) -> torch.Generator:
    """A generator of random numbers that starts at a seed."""
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    """Standard normal values of a seed."""
    return torch.randn(*shape, generator=seeded(seed))


def uniform(seed: int, *shape: int) -> Tensor:
    """Images of a seed: values spread evenly over `[-1, 1]`."""
    return torch.rand(*shape, generator=seeded(seed)) * 2 - 1
