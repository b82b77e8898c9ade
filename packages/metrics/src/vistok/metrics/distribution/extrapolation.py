"""Frechet distance at infinitely many samples, extrapolated from several counts."""

from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.distribution.frechet import Side, frechet_distance, gaussian_factor
from vistok.metrics.not_measurable import NotMeasurableError


class ExtrapolatedDistance(NamedTuple):
    """A straight line through distances over the inverse of the number of samples.

    Attributes:
        value: Where the inverse is 0: the distance of infinitely many samples.
        slope: Bias times the number of samples.
        counts: ``(P,)``, int64: the numbers of samples.
        distances: ``(P,)``, float64: the distance at each.
    """

    value: float
    slope: float
    counts: Tensor
    distances: Tensor


def frechet_distance_infinity(
    samples: Tensor,
    reference: Side,
    *,
    generator: torch.Generator,
    num_points: int = 15,
    smallest: int | None = None,
) -> ExtrapolatedDistance:
    r"""Frechet distance of samples to a reference without the bias of a finite number of samples.

    .. math::
        d^2_N \approx d^2_\infty + \frac{b}{N}

    fitted by least squares to the distances of random subsets of ``num_points`` sizes, evenly spaced from ``smallest``
    to all samples. On Inception features it is "FID-infinity". The reference keeps its own bias: state its count.

    Source:
        Chong and Forsyth 2020, arXiv:1911.07023, Section 4 (15 sizes from 5,000 to 50,000; the bias is linear in 1/N).

    Args:
        samples: Feature vectors.
        reference: Feature vectors ``(M, D)``, or their statistics.
        generator: Decides the subsets.
        num_points: How many sizes.
        smallest: The smallest size; ``None`` is a tenth of the samples, as published. The line is straight only where
            this is well above the number of features.

    Shape:
        - samples: ``(N, D)``.

    Range:
        ``value`` may be slightly negative: it is an estimate. All samples' own distance is ``distances[-1]``.

    Raises:
        ValueError: As :func:`frechet_distance`, or ``num_points`` below 2.
        NotMeasurableError: Too few samples for two sizes of at least 2.

    Example:
        >>> x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
        >>> found = frechet_distance_infinity(x[:200], x[200:], generator=torch.Generator(), num_points=5)
        >>> found.counts.tolist()
        [20, 65, 110, 155, 200]
    """
    if num_points < 2:
        raise ValueError(f"num_points must be at least 2, got {num_points}")
    least = len(samples) // 10 if smallest is None else smallest
    if not 2 <= least < len(samples):
        raise NotMeasurableError(f"two sizes of at least 2 are needed, got {least} and {len(samples)} samples")
    counts = torch.linspace(least, len(samples), num_points, dtype=torch.float64).round().long()
    fixed = gaussian_factor(reference, "reference")
    distances = []
    for count in counts.tolist():
        drawn = torch.randperm(len(samples), generator=generator)[:count].to(samples.device)
        distances.append(frechet_distance(samples[drawn], fixed))
    y = torch.tensor(distances, dtype=torch.float64)
    x = 1.0 / counts.double()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return ExtrapolatedDistance(float(y.mean() - slope * x.mean()), float(slope), counts, y)
