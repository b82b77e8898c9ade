"""A Frechet distance and what stands beside it: how sure it is, and of samples its value at infinitely many."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vistok.metrics.distribution.bootstrap import bootstrap_interval
from vistok.metrics.distribution.extrapolation import frechet_distance_infinity
from vistok.metrics.distribution.frechet import GaussianFactor, frechet_distance, gaussian_factor
from vistok.metrics.harness.evaluation import Evaluation
from vistok.metrics.not_measurable import NotMeasurableError

_NAME, _AT_INFINITY = "frechet_distance", "frechet_distance_at_infinity"
_ONE_IN = 10  # so many samples is the smallest subset of the extrapolation
_QUANTILE = 1.96  # of the normal distribution: 95 % lie within so many deviations


class Resampling(NamedTuple):
    """What is drawn when sets are compared, and how often.

    Attributes:
        seed: Of all draws.
        resamples: For the margin of error of a Frechet distance, 2 or more; 0 leaves it out (each costs a distance).
        kept: Images of a side whose features are kept one by one, at most: a random sample of more of them. All but the
            Frechet distance itself and the Inception Score are measured on these. 50,000 of Inception's take 400 MB.
    """

    seed: int = 0
    resamples: int = 20
    kept: int = 50_000

    def generator(self) -> torch.Generator:
        """Draws of its own for each figure, so that one left out changes no other."""
        return torch.Generator().manual_seed(self.seed)

    def choices(self) -> dict[str, int]:
        """As an evaluation writes them down.

        Raises:
            ValueError: One resample tells no spread, or nothing would be kept.
        """
        if self.resamples < 0 or self.resamples == 1 or self.kept < 1:
            wanted = "0 or at least 2 resamples and at least 1 kept image"
            raise ValueError(f"expected {wanted}, got {self.resamples} and {self.kept}")
        return {f"resampling: {name}": value for name, value in self._asdict().items()}


def add_distance(found: Evaluation, section: str, sides: tuple[Any, Any], kept: Tensor, resampling: Resampling) -> None:
    """Put the Frechet distance of samples to a reference into a section, its extrapolation and its spread beside it.

    The extrapolation is left out of too few samples for its line to be straight: it needs more than ten a feature.

    Args:
        found: Where they go.
        section: Its name.
        sides: Features or statistics of the samples and of the reference.
        kept: Features of the samples one by one, ``(n, D)``: all of them, or a random sample.
        resampling: What is drawn.
    """
    reference = cache(partial(gaussian_factor, sides[1], "reference"))  # an eigendecomposition: once for all three
    found.add(section, _NAME, lambda: {_NAME: frechet_distance(sides[0], reference())})
    found.add(section, _AT_INFINITY, partial(_infinity, kept, reference, resampling))
    _add_spread(found, section, lambda drawn: frechet_distance(kept[drawn], reference()), len(kept), resampling)


def add_distance_of_pairs(
    found: Evaluation, section: str, sides: tuple[Any, Any], kept: tuple[Tensor, Tensor], resampling: Resampling
) -> None:
    """Put the Frechet distance of reconstructions to their originals into a section, its spread beside it.

    Whole pairs are resampled: an image that is drawn moves both sides at once, and where nothing is lost nothing
    moves. A value at infinity is of samples that are independent of the other side's images: pairs have none.

    Args:
        found: Where they go.
        section: Its name.
        sides: Features or statistics of the reconstructions and of the originals.
        kept: Features of both sides one by one, ``(n, D)``, of the same images in the same order.
        resampling: What is drawn.
    """
    made, originals = kept
    found.add(section, _NAME, lambda: {_NAME: frechet_distance(*sides)})
    _add_spread(found, section, lambda drawn: frechet_distance(made[drawn], originals[drawn]), len(made), resampling)


def _infinity(kept: Tensor, reference: Callable[[], GaussianFactor], resampling: Resampling) -> dict[str, float]:
    count, dim = kept.shape
    if count // _ONE_IN <= dim:
        needed = f"at least {_ONE_IN * (dim + 1):,} samples of {dim:,} features"
        raise NotMeasurableError(f"the line is straight for {needed}, got {count:,}")
    return {_AT_INFINITY: frechet_distance_infinity(kept, reference(), generator=resampling.generator()).value}


def _add_spread(
    found: Evaluation, section: str, measure: Callable[[Tensor], float], count: int, resampling: Resampling
) -> None:
    """How far the distance of as many images moves from set to set: deviation, and half of a 95 % interval.

    ``measure`` is the distance of the images of these indices.
    """
    if not resampling.resamples:
        return

    def spread() -> dict[str, float]:
        options: dict[str, Any] = {"generator": resampling.generator(), "resamples": resampling.resamples}
        deviation = bootstrap_interval(measure, torch.arange(count), **options).deviation
        return {f"{_NAME}_deviation": deviation, f"{_NAME}_margin_of_error": _QUANTILE * deviation}

    found.add(section, f"{_NAME}_deviation", spread)
