"""How a set of vectors is spread over directions: cosine histogram, its moments, and what a dimension allows."""

from typing import NamedTuple

import torch
from torch import Tensor

from vistok.workbench.metrics.not_measurable import NotMeasurableError


class CosineMoments(NamedTuple):
    """Mean and root mean square of the cosines of all pairs of different vectors."""

    mean: float
    rms: float


def cosine_moments(vectors: Tensor) -> CosineMoments:
    r"""Mean and root mean square cosine over all pairs, exactly, without forming the pairs.

    .. math::
        \overline{c} = \frac{\lVert \sum_i u_i \rVert^2 - n}{n (n - 1)}, \qquad
        \overline{c^2} = \frac{\lVert U^\top U \rVert_F^2 - n}{n (n - 1)}

    Args:
        vectors: ``(n, d)``, at least two, none zero.

    Range:
        Both in ``[-1, 1]``, ``rms >= |mean|``, and ``rms`` at least :func:`welch_bound`.

    Raises:
        ValueError: Not ``(n, d)``, or not finite.
        NotMeasurableError: Fewer than 2 vectors, or a zero vector.

    Example:
        >>> cosine_moments(torch.eye(2))
        CosineMoments(mean=0.0, rms=0.0)
    """
    units = unit_rows(vectors)
    pairs = len(units) * (len(units) - 1)
    mean = (units.sum(dim=0).square().sum() - len(units)) / pairs
    mean_square = ((units.T @ units).square().sum() - len(units)) / pairs
    return CosineMoments(float(mean), float(mean_square.clamp(min=0.0).sqrt()))


def welch_bound(num_vectors: int, dim: int) -> float:
    r"""Smallest root mean square cosine that ``num_vectors`` vectors can have in ``dim`` dimensions.

    .. math::
        \sqrt{\max\left(0, \frac{n / d - 1}{n - 1}\right)}

    A histogram of cosines with a smaller one cannot be reached by any codebook of that size and dimension.

    Source:
        Welch 1974, "Lower bounds on the maximum cross correlation of signals", in its mean-square form.

    Raises:
        ValueError: Fewer than 2 vectors or a dimension below 1.

    Example:
        >>> round(welch_bound(4096, 8), 4)
        0.3533
    """
    if num_vectors < 2 or dim < 1:
        raise ValueError(f"num_vectors must be at least 2 and dim at least 1, got {num_vectors} and {dim}")
    return float(max(0.0, (num_vectors / dim - 1) / (num_vectors - 1)) ** 0.5)


def cosine_histogram(vectors: Tensor, *, bins: int = 40, block_size: int = 1024) -> Tensor:
    """Share of the pairs of different vectors whose cosine falls in each of ``bins`` equal bins of ``[-1, 1]``.

    Args:
        vectors: ``(n, d)``, at least two, none zero.
        bins: Number of bins.
        block_size: Rows compared at a time; changes memory, not the result.

    Shape:
        - histogram: ``(bins,)``, float64.

    Range:
        ``[0, 1]``, sum 1. Unchanged by the order of the vectors and by the positive scale of each.

    Gradient:
        None: counting has none.

    Raises:
        ValueError: Not ``(n, d)``, not finite, or ``bins`` or ``block_size`` below 1.
        NotMeasurableError: Fewer than 2 vectors, or a zero vector.

    Example:
        >>> cosine_histogram(torch.eye(3), bins=2).tolist()
        [0.0, 1.0]
    """
    if bins < 1 or block_size < 1:
        raise ValueError(f"bins and block_size must be at least 1, got {bins} and {block_size}")
    units = unit_rows(vectors)
    counts = torch.zeros(bins, dtype=torch.int64)
    for start in range(0, len(units), block_size):
        block = units[start : start + block_size]
        cosines = block @ units[start:].T
        upper = torch.ones_like(cosines, dtype=torch.bool).triu(diagonal=1)
        positions = ((cosines[upper] + 1.0) * (bins / 2)).floor().long().clamp(0, bins - 1)
        counts += torch.bincount(positions, minlength=bins)
    return counts.double() / counts.sum()


def histogram_distance(first: Tensor, second: Tensor) -> float:
    r"""Total variation distance of two histograms over the same bins, each normalised to sum 1.

    .. math::
        d(p, q) = \tfrac12 \sum_k \lvert p_k - q_k \rvert

    Range:
        ``[0, 1]``: the share of mass to be moved; 1 exactly for histograms without a common bin. Symmetric.

    Raises:
        ValueError: Shapes differ or are not ``(bins,)``, an entry is negative or not finite, or a histogram is empty.

    Example:
        >>> histogram_distance(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 3.0]))
        0.5
    """
    if first.shape != second.shape or first.ndim != 1:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"both histograms must be the same (bins,), got {shapes}")
    shares = []
    for name, histogram in (("first", first), ("second", second)):
        mass = histogram.detach().double()
        if not bool(torch.isfinite(mass).all()) or bool((mass < 0).any()) or not float(mass.sum()) > 0:
            raise ValueError(f"{name} must hold finite non-negative entries with a positive sum")
        shares.append(mass / mass.sum())
    return min(1.0, float((shares[0] - shares[1]).abs().sum() / 2))


def unit_rows(vectors: Tensor) -> Tensor:
    """Directions in float64, after the checks that all measures of direction make."""
    if vectors.ndim != 2:
        raise ValueError(f"vectors must be (n, d) with n >= 2, got {tuple(vectors.shape)}")
    if len(vectors) < 2:
        raise NotMeasurableError(f"vectors must be (n, d) with n >= 2, got {tuple(vectors.shape)}")
    vectors = vectors.detach().cpu().double()
    norms = vectors.norm(dim=1, keepdim=True)
    if not bool(torch.isfinite(norms).all()):
        raise ValueError("vectors must be finite")
    if bool((norms == 0).any()):
        raise NotMeasurableError("none of the vectors may be zero: a zero vector has no direction")
    units: Tensor = vectors / norms
    return units
