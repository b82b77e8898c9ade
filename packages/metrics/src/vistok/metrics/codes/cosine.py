"""How a set of vectors is spread over directions: the moments of its cosines, and what a dimension allows."""

from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.not_measurable import NotMeasurableError


class CosineMoments(NamedTuple):
    """Of the cosines of all pairs of different vectors.

    Attributes:
        mean: Their mean.
        rms: Their root mean square.
    """

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

    Cosines with a smaller one cannot be reached by any codebook of that size and dimension.

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
