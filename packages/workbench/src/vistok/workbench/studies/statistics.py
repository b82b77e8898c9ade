"""Means, deviations, Student's intervals and paired differences of a few seeds."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95  # of all intervals of a study


class Summary(NamedTuple):
    """Numbers of one row: how many, their mean, their deviation (none of one), the interval of the mean."""

    num: int
    mean: float
    deviation: float | None
    interval: tuple[float, float] | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval of the mean is on one side of zero; it is not where there is none."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


def summarize(values: Sequence[float], *, level: float = LEVEL) -> Summary:
    r"""Mean, deviation and Student's interval of values that are taken as independent and normal.

    $$\bar x \pm t_{(1 + p) / 2,\, n - 1}\, s / \sqrt n, \qquad s^2 = \frac{1}{n - 1} \sum_i (x_i - \bar x)^2$$

    Args:
        values: At least one.
        level: The share p of such intervals that hold the mean.

    Raises:
        ValueError: There is no value.

    Example:
        >>> found = summarize([1.0, 2.0, 3.0])
        >>> found.mean, found.deviation, round(found.interval[1] - found.mean, 3)
        (2.0, 1.0, 2.484)
    """
    if not values:
        raise ValueError("values must hold at least one, got none")
    numbers = np.asarray(values, dtype=np.float64)
    num, mean = len(numbers), float(numbers.mean())
    if num == 1:
        return Summary(num, mean, None, None)
    deviation = float(numbers.std(ddof=1))
    margin = float(stdtrit(num - 1, (1 + level) / 2)) * deviation / math.sqrt(num)
    return Summary(num, mean, deviation, (mean - margin, mean + margin))


def paired_difference(values: Mapping[int, float], reference: Mapping[int, float]) -> Summary | None:
    """What :func:`summarize` says of a row less the reference, seed by seed; none where they share no seed.

    Example:
        >>> paired_difference({0: 3.0, 1: 5.0, 7: 9.0}, {0: 1.0, 1: 2.0}).mean
        2.5
    """
    differences = [values[seed] - reference[seed] for seed in sorted(values.keys() & reference.keys())]
    return summarize(differences) if differences else None
