"""Rank correlations of two measures over the cells of studies, with intervals from resampled rows."""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vistok.workbench.studies.statistics import LEVEL

RESAMPLES = 2000
#: Of which a correlation is told: the bootstrap of fewer has a handful of samples that differ.
FEWEST_ROWS = 5

Values = npt.NDArray[np.float64]


class Correlation(NamedTuple):
    """A correlation and its interval; not-a-number where one of the measures does not vary."""

    value: float
    low: float
    high: float


class Points(NamedTuple):
    """A predictor and an outcome of the same cells ``(n,)``, and the row that each cell belongs to."""

    predictor: Values
    outcome: Values
    rows: Sequence[Hashable]

    def row_means(self) -> "Points":
        """One point a row: the means over its cells."""
        names = list(dict.fromkeys(self.rows))
        mine = [[index for index, row in enumerate(self.rows) if row == name] for name in names]
        means = [np.array([values[each].mean() for each in mine]) for values in (self.predictor, self.outcome)]
        return Points(means[0], means[1], names)


def spearman(x: Values, y: Values) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank.

    Example:
        >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 100.0, 10.0]))
        0.5
    """
    a, b = (_ranks(values) - (len(values) + 1) / 2 for values in (x, y))
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale else math.nan


def kendall(x: Values, y: Values) -> float:
    """Kendall's tau-b: pairs in the same order less pairs in the other, over those without ties.

    Example:
        >>> round(kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 100.0, 10.0])), 4)
        0.3333
    """
    a, b = (np.sign(values[:, None] - values[None, :]) for values in (x, y))
    scale = math.sqrt(float((a * a).sum()) * float((b * b).sum()))
    return float((a * b).sum()) / scale if scale else math.nan


def correlate(
    points: Points,
    measure: Callable[[Values, Values], float],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Correlation:
    """A correlation with the percentile interval of its bootstrap over rows.

    Rows are drawn with repetition, each with all its cells: cells of one row differ by their seed alone and are no
    independent evidence. Draws in which a measure does not vary say nothing and are left out.

    Args:
        points: The cells.
        measure: :func:`spearman` or :func:`kendall`.
        seed: Decides the draws.
        resamples: How many.

    Raises:
        ValueError: There are fewer than 5 rows.
    """
    names = list(dict.fromkeys(points.rows))
    if len(names) < FEWEST_ROWS:
        raise ValueError(f"points must be of at least {FEWEST_ROWS} rows, got {len(names)}")
    cells = [np.flatnonzero([row == name for row in points.rows]) for name in names]
    draws = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = np.concatenate([cells[row] for row in draws.integers(len(names), size=len(names))])
        value = measure(points.predictor[drawn], points.outcome[drawn])
        if not math.isnan(value):
            found.append(value)
    edges = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = np.quantile(found, edges) if found else (math.nan, math.nan)
    return Correlation(measure(points.predictor, points.outcome), float(low), float(high))


def _ranks(values: Values) -> Values:
    """Ranks from 1; equal values share the mean of theirs."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean_ranks: Values = ends - (counts - 1) / 2
    return mean_ranks[where]
