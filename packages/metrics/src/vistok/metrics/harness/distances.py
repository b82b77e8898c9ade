"""A Frechet distance and what stands beside it always: its value at infinitely many images, and how sure it is."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vistok.metrics.distribution.bootstrap import bootstrap_interval
from vistok.metrics.distribution.extrapolation import frechet_distance_infinity
from vistok.metrics.distribution.frechet import GaussianFactor, frechet_distance, gaussian_factor
from vistok.metrics.harness.evaluation import Evaluation

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
    """Put the Frechet distance of a set to a reference into a section, its extrapolation and its spread beside it.

    Args:
        found: Where they go.
        section: Its name.
        sides: Features or statistics of the set and of the reference.
        kept: Features of the set one by one, ``(n, D)``: all of them, or a random sample.
        resampling: What is drawn.
    """
    name = "frechet_distance"
    reference = cache(partial(gaussian_factor, sides[1], "reference"))  # an eigendecomposition: once for all three
    found.add(section, name, lambda: {name: frechet_distance(sides[0], reference())})
    found.add(section, f"{name}_at_infinity", partial(_infinity, kept, reference, resampling))
    if resampling.resamples:
        found.add(section, f"{name}_deviation", partial(_spread, kept, reference, resampling))


def _infinity(kept: Tensor, reference: Callable[[], GaussianFactor], resampling: Resampling) -> dict[str, float]:
    found = frechet_distance_infinity(kept, reference(), generator=resampling.generator())
    return {"frechet_distance_at_infinity": found.value}


def _spread(kept: Tensor, reference: Callable[[], GaussianFactor], resampling: Resampling) -> dict[str, float]:
    """How far the distance of as many images moves from set to set: deviation, and half of a 95 % interval."""

    def measure(some: Tensor) -> float:
        return frechet_distance(some, reference())

    generator, resamples = resampling.generator(), resampling.resamples
    deviation = bootstrap_interval(measure, kept, generator=generator, resamples=resamples).deviation
    return {"frechet_distance_deviation": deviation, "frechet_distance_margin_of_error": _QUANTILE * deviation}
