"""Rank correlations: against SciPy, by hand, and their intervals over rows."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.studies.correlation import Points, correlate, kendall, spearman

SUBJECT = "vistok.workbench.studies.correlation"
few = st.integers(-3, 3).map(float)  # many ties
pairs = st.lists(st.tuples(few, few), min_size=2, max_size=12).filter(
    lambda found: all(len(set(side)) > 1 for side in zip(*found, strict=True))
)


@catches(SUBJECT, "ends - (counts - 1) / 2", "ends.astype(float)")
@given(pairs)
def test_spearman_is_that_of_scipy_with_ties(found):
    x, y = np.array(found).T
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)


@catches(SUBJECT, "(a * a).sum()", "(b * b).sum()")
@given(pairs)
def test_kendall_is_that_of_scipy_with_ties(found):
    x, y = np.array(found).T
    assert kendall(x, y) == pytest.approx(scipy.stats.kendalltau(x, y).statistic, abs=1e-12)


@given(pairs, st.integers(0, 2**31))
def test_monotone_maps_change_nothing_and_a_turn_changes_the_sign(found, seed):
    x, y = np.array(found).T
    for measure in (spearman, kendall):
        assert measure(np.exp(x), y**3) == pytest.approx(measure(x, y), abs=1e-12)
        assert measure(-x, y) == pytest.approx(-measure(x, y), abs=1e-12)


def test_by_hand():
    # Ranks 1 2 3 4 against 2 1 4 3: squared differences 1 + 1 + 1 + 1; 1 - 6 * 4 / (4 * 15) = 0.6.
    # Of six pairs two stand the other way: (4 - 2) / 6.
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([20.0, 10.0, 40.0, 30.0])
    assert spearman(x, y) == pytest.approx(0.6)
    assert kendall(x, y) == pytest.approx(1 / 3)


@catches(SUBJECT, "float(a @ b) / scale if scale else math.nan", "float(a @ b) / (scale or 1)")
def test_what_does_not_vary_has_no_correlation():
    constant, other = np.ones(5), np.arange(5.0)
    assert math.isnan(spearman(constant, other))
    assert math.isnan(kendall(other, constant))
    found = correlate(Points(constant, other, "abcde"), spearman, resamples=20)
    assert all(map(math.isnan, found))


def seeds_of_rows(rows=6, seeds=5, *, noise=0.0):
    """Points whose rows lie in order but for one pair; the seeds of a row lie close together."""
    draws = np.random.default_rng(0)
    names = np.repeat(np.arange(rows), seeds)
    swapped = np.array([0, 1, 2, 4, 3, 5][:rows])
    x = names + noise * draws.random(len(names))
    y = swapped[names] + noise * draws.random(len(names))
    return Points(x, y, names.tolist())


@catches(SUBJECT, "draws.integers(len(names), size=len(names))", "range(len(names))")
def test_intervals_come_from_whole_rows():
    points = seeds_of_rows(noise=0.01)
    by_row = correlate(points, kendall)
    assert by_row.low < by_row.value < by_row.high <= 1
    # As if every cell were independent evidence, the interval would be far narrower.
    by_cell = correlate(points._replace(rows=list(range(len(points.rows)))), kendall)
    assert by_row.high - by_row.low > 1.5 * (by_cell.high - by_cell.low)


@catches(SUBJECT, "found, edges)", "found, (0.1, 0.9))")
@catches(SUBJECT, "np.concatenate([cells[row] for", "np.array([cells[row][0] for")
def test_the_interval_holds_the_middle_share_of_the_resamples_of_rows_with_all_their_cells():
    points = seeds_of_rows(seeds=3, noise=2.0)
    draws = np.random.default_rng(7)
    values = []
    for _ in range(500):
        drawn = [3 * row + cell for row in draws.integers(6, size=6) for cell in range(3)]
        values.append(scipy.stats.kendalltau(points.predictor[drawn], points.outcome[drawn]).statistic)
    expected = np.nanquantile(values, [0.025, 0.975])
    assert correlate(points, kendall, seed=7, resamples=500)[1:] == pytest.approx(tuple(expected))


@catches(SUBJECT, "values[each].mean()", "values[each][0]")
def test_rows_have_the_means_of_their_cells():
    points = Points(np.array([1.0, 5.0, 3.0]), np.array([2.0, 7.0, 4.0]), ["a", "b", "a"])
    means = points.row_means()
    assert (means.predictor.tolist(), means.outcome.tolist(), means.rows) == ([2.0, 5.0], [3.0, 7.0], ["a", "b"])


@catches(SUBJECT, "if len(names) < FEWEST_ROWS", "if len(points.rows) < FEWEST_ROWS")
def test_four_rows_are_too_few():
    with pytest.raises(ValueError, match="points must be of at least 5 rows, got 4"):
        correlate(Points(np.arange(6.0), np.arange(6.0), ["a", "a", "b", "b", "c", "d"]), spearman)
