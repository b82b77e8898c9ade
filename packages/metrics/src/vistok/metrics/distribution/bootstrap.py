"""How far a figure of a set would move for another set of as many images."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Interval(NamedTuple):
    """A figure and where it lies.

    Attributes:
        value: The figure of the set itself.
        low: Lower end of the interval.
        high: Upper end.
        deviation: Standard deviation of the figure over the resamples.
    """

    value: float
    low: float
    high: float
    deviation: float


def bootstrap_interval(
    measure: Callable[[Tensor], float],
    images: Tensor,
    *,
    generator: torch.Generator,
    resamples: int = 200,
    confidence: float = 0.95,
) -> Interval:
    r"""Interval of a figure of a set of images, from resamples of it with repetition.

    With :math:`q` the quantiles of the figure over the resamples and :math:`\hat\theta` that of the set itself,

    .. math::
        [2 \hat\theta - q_{1 - \alpha / 2},\; 2 \hat\theta - q_{\alpha / 2}], \qquad \alpha = 1 - \mathrm{confidence}

    the "basic" interval. A resample is biased against the set as the set is against its distribution, which this form
    takes back; the plain quantiles of a Frechet distance, whose bias is upwards, would lie above the figure itself.

    Source:
        Davison and Hinkley 1997, "Bootstrap methods and their application", Section 5.2.

    Args:
        measure: From some of ``images`` to the figure: ``lambda some: frechet_distance(some, reference)``.
        images: What is drawn from along the first dimension: features, pixels, or one value an image.
        generator: Decides the resamples.
        resamples: How many; the ends settle slowly, the deviation at a few dozen.
        confidence: Share of sets whose interval holds the figure of the distribution.

    Raises:
        ValueError: No image, ``resamples`` below 2, or ``confidence`` not between 0 and 1.

    Example:
        >>> values = torch.arange(100.0)
        >>> found = bootstrap_interval(lambda some: some.mean().item(), values, generator=torch.Generator())
        >>> found.value, found.low < 49.5 < found.high
        (49.5, True)
    """
    if not len(images) or resamples < 2 or not 0 < confidence < 1:
        raise ValueError(
            "expected at least 1 image, at least 2 resamples and a confidence between 0 and 1, "
            f"got {len(images)}, {resamples} and {confidence}"
        )
    value = measure(images)
    draws = (torch.randint(len(images), (len(images),), generator=generator) for _ in range(resamples))
    values = torch.tensor([measure(images[drawn.to(images.device)]) for drawn in draws], dtype=torch.float64)
    tail = (1.0 - confidence) / 2
    high, low = (2.0 * value - float(values.quantile(q)) for q in (tail, 1.0 - tail))
    return Interval(value, low, high, values.std().item())
