"""Kernel distance between two sets of features (KID, on Inception's)."""

from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics._float64 import on_float64_device
from vistok.metrics._tensors import check_tensor
from vistok.metrics.not_measurable import NotMeasurableError

_DEGREE = 3


class KernelDistance(NamedTuple):
    """A kernel distance over subsets.

    Attributes:
        mean: Mean over the subsets.
        deviation: Population deviation over the subsets: of one subset's value, not of the mean.
    """

    mean: float
    deviation: float


def kernel_distance(first: Tensor, second: Tensor, *, block_size: int = 1024) -> float:
    r"""Unbiased squared maximum mean discrepancy of two sets of features under the cubic kernel, of all pairs.

    .. math::
        \frac{1}{n (n - 1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{m (m - 1)} \sum_{i \ne j} k(y_i, y_j)
        - \frac{2}{n m} \sum_{i, j} k(x_i, y_j), \qquad k(u, v) = \Big(\frac{u^\top v}{D} + 1\Big)^3

    Its expectation is the same for every count (a Frechet distance falls with it), so it may be negative. Papers give
    the mean over subsets (:func:`kernel_distance_of_subsets`), often times 1,000: say so. On Inception features it is
    "KID", on others the "kernel distance on" that network.

    Source:
        Bińkowski et al. 2018, arXiv:1801.01401, Section 4; the estimator of Gretton et al. 2012, Eq. 3.

    Args:
        first: Features of one set.
        second: Features of the other.
        block_size: Vectors compared at a time; changes memory, not the result.

    Shape:
        - first: ``(N, D)``; second: ``(M, D)``; at least 2 each.

    Range:
        Any number; expectation 0 for two draws of one distribution, and never below. Symmetric.

    Gradient:
        None: this is a measurement.

    Raises:
        TypeError: What is given as features are no tensors.
        ValueError: Not ``(N, D)`` and ``(M, D)``, not finite, or ``block_size`` below 1.
        NotMeasurableError: Fewer than 2 vectors on a side.

    Example:
        >>> round(kernel_distance(torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [1.0]])), 6)  # 1 + 8 - 2
        7.0
    """
    x, y = _checked(first, second, block_size)
    within = [(_kernel_sum(side, side, block_size) - _own_sum(side)) / (len(side) * (len(side) - 1)) for side in (x, y)]
    return sum(within) - 2.0 * _kernel_sum(x, y, block_size) / (len(x) * len(y))


def kernel_distance_of_subsets(
    first: Tensor, second: Tensor, *, generator: torch.Generator, num_subsets: int = 100, subset_size: int = 1000
) -> KernelDistance:
    """Mean and deviation of :func:`kernel_distance` over random subsets of both sides, as it is published.

    Args:
        first: Features ``(N, D)`` of one set.
        second: Features ``(M, D)`` of the other.
        generator: Decides the subsets; each is drawn without repetition.
        num_subsets: How many.
        subset_size: Vectors of a subset, of each side; 1,000 is published.

    Range:
        The expectation of ``mean`` does not depend on the number or the size of the subsets.

    Raises:
        ValueError: As :func:`kernel_distance`, or ``num_subsets`` below 1 or ``subset_size`` below 2.
        NotMeasurableError: A side holds fewer vectors than a subset.

    Example:
        >>> x = torch.arange(8.0).view(8, 1)
        >>> kernel_distance_of_subsets(x, x, generator=torch.Generator(), num_subsets=2, subset_size=8).deviation
        0.0
    """
    first, second = _checked(first, second, 1)
    if num_subsets < 1:
        raise ValueError(f"num_subsets must be at least 1, got {num_subsets}")
    if subset_size < 2:
        raise ValueError(f"subset_size must be at least 2, got {subset_size}")
    if min(len(first), len(second)) < subset_size:
        raise NotMeasurableError(f"a subset needs {subset_size} vectors a side, got {len(first)} and {len(second)}")

    def some(side: Tensor) -> Tensor:
        return side[torch.randperm(len(side), generator=generator)[:subset_size].to(side.device)]

    values = torch.tensor([kernel_distance(some(first), some(second)) for _ in range(num_subsets)], dtype=torch.float64)
    return KernelDistance(values.mean().item(), values.std(correction=0).item())


def _checked(first: Tensor, second: Tensor, block_size: int) -> tuple[Tensor, Tensor]:
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
    for name, side in (("first", first), ("second", second)):
        check_tensor(name, side)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"first and second must be (N, D) and (M, D), got {shapes}")
    for name, side in (("first", first), ("second", second)):
        if len(side) < 2:
            raise NotMeasurableError(f"{name} must hold at least 2 feature vectors, got {len(side)}")
        if not bool(torch.isfinite(side).all()):
            raise ValueError(f"{name} must be finite")
    return on_float64_device(first.detach()), on_float64_device(second.detach())


def _kernel(products: Tensor, dim: int) -> Tensor:
    return (products / dim + 1.0) ** _DEGREE


def _kernel_sum(x: Tensor, y: Tensor, block_size: int) -> float:
    total = 0.0
    for rows in x.split(block_size):
        rows = rows.double()
        total += sum(float(_kernel(rows @ columns.double().T, x.shape[1]).sum()) for columns in y.split(block_size))
    return total


def _own_sum(x: Tensor) -> float:
    """Over the pairs of a vector with itself."""
    return float(_kernel(x.double().square().sum(dim=1), x.shape[1]).sum())
