"""Distances between two sets of feature vectors, a tile at a time, in float64."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vistok.metrics._tensors import check_tensor
from vistok.metrics.not_measurable import NotMeasurableError


def check_sides(real: Tensor, samples: Tensor, real_need: int, samples_need: int, block_size: int) -> None:
    """The checks that every comparison of two sets makes."""
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
    for name, side in (("real", real), ("samples", samples)):
        check_tensor(name, side)
    if real.ndim != 2 or samples.ndim != 2 or real.shape[1] != samples.shape[1]:
        shapes = f"{tuple(real.shape)} and {tuple(samples.shape)}"
        raise ValueError(f"real and samples must be (N, D) and (M, D), got {shapes}")
    for name, side, need in (("real", real, real_need), ("samples", samples, samples_need)):
        if len(side) < need:
            raise NotMeasurableError(f"{name} must hold at least {need} feature vectors, got {len(side)}")
        if not bool(torch.isfinite(side).all()):
            raise ValueError(f"{name} must be finite")


def centre_and_spread(vectors: Tensor, block_size: int) -> tuple[Tensor, float]:
    """Mean vector, and mean squared distance from it, in float64 without a copy of all vectors."""
    blocks = vectors.detach().split(block_size)
    centre = torch.stack([block.double().sum(dim=0) for block in blocks]).sum(dim=0) / len(vectors)
    squares = sum(float((block.double() - centre).square().sum()) for block in blocks)
    return centre, squares / len(vectors)


def tiles(x: Tensor, y: Tensor, centre: Tensor, block_size: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """Squared distances of some ``x`` to some ``y``, and which they are; around ``centre``, where rounding is least."""
    for rows in _slices(len(x), block_size):
        part = x[rows].double() - centre
        lengths = part.square().sum(dim=1)[:, None]
        for columns in _slices(len(y), block_size):
            other = y[columns].double() - centre
            squares = lengths + other.square().sum(dim=1) - 2 * part @ other.T
            yield rows, columns, squares.clamp(min=0.0)


def _slices(count: int, block_size: int) -> list[slice]:
    return [slice(start, min(start + block_size, count)) for start in range(0, count, block_size)]
