"""A Frechet distance and what stands beside it always: its value at infinitely many images, and how sure it is."""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vistok.metrics.distribution.bootstrap import bootstrap_interval
from vistok.metrics.distribution.extrapolation import frechet_distance_infinity
from vistok.metrics.distribution.frechet import frechet_distance
from vistok.metrics.harness.evaluation import Evaluation

_QUANTILE = 1.96  # of the normal distribution: 95 % lie within so many deviations


class Chance(NamedTuple):
    """What is drawn when sets are compared, and how often.

    Attributes:
        seed: Of all draws.
        resamples: For the interval of a Frechet distance; 0 leaves it out (each costs a distance).
        kept: Features of a side that are kept for what needs them one by one, at most.
    """

    seed: int = 0
    resamples: int = 20
    kept: int = 10_000

    def generator(self) -> torch.Generator:
        """Draws of its own for each figure, so that one left out changes no other."""
        return torch.Generator().manual_seed(self.seed)


def add_distance(
    found: Evaluation, section: str, network: str, sides: tuple[Any, Any], kept: Tensor, chance: Chance
) -> None:
    """Put the Frechet distance of a set to a reference into a section, its extrapolation and its spread beside it.

    Args:
        found: Where they go; its choice ``count`` says how many images the set has.
        section: Its name.
        network: What the features are of; the names of the numbers tell it.
        sides: Features or statistics of the set and of the reference.
        kept: Features of the set one by one, ``(n, D)``: all of them, or a random sample.
        chance: What is drawn.
    """
    name = f"Frechet distance on {network}"
    found.add(section, name, lambda: {name: frechet_distance(*sides)})
    found.add(section, f"{name} at infinity", partial(_infinity, name, kept, sides[1], chance))
    if chance.resamples:
        some = "" if len(kept) == found.choices["count"] else f" of {len(kept)} images"
        found.add(section, f"{name}{some}, deviation", partial(_spread, name + some, kept, sides[1], chance))


def _infinity(name: str, kept: Tensor, reference: Any, chance: Chance) -> dict[str, float]:
    return {f"{name} at infinity": frechet_distance_infinity(kept, reference, generator=chance.generator()).value}


def _spread(name: str, kept: Tensor, reference: Any, chance: Chance) -> dict[str, float]:
    """How far the distance of as many images moves from set to set: deviation, and half of a 95 % interval."""

    def measure(some: Tensor) -> float:
        return frechet_distance(some, reference)

    deviation = bootstrap_interval(measure, kept, generator=chance.generator(), resamples=chance.resamples).deviation
    return {f"{name}, deviation": deviation, f"{name}, 95 % within": _QUANTILE * deviation}
