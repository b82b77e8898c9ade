"""Means, deviations, intervals: against SciPy, in float64, and by hand."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.studies.statistics import Summary, paired_difference, summarize

SUBJECT = "vistok.workbench.studies.statistics"
numbers = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9)


@catches(SUBJECT, "(1 + level) / 2", "level")
@catches(SUBJECT, "stdtrit(num - 1,", "stdtrit(num,")
@catches(SUBJECT, "std(ddof=1)", "std()")
@catches(SUBJECT, "/ math.sqrt(num)", "/ num")
@given(numbers, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_mean_deviation_and_interval_are_those_of_scipy(values, level):
    found = summarize(values, level=level)
    assert found.num == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.deviation == pytest.approx(scipy.stats.tstd(values), abs=1e-9)
    error = scipy.stats.sem(values)
    if error > 1e-9:
        expected = scipy.stats.t.interval(level, len(values) - 1, loc=np.mean(values), scale=error)
        assert found.interval == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_by_hand():
    # 2, 4, 9: mean 5, squares 9 + 1 + 16 = 26, over 2: 13; Student's quantile for 2 degrees
    # of freedom is (2 p - 1) / sqrt(2 p (1 - p)).
    found = summarize([2.0, 4.0, 9.0])
    assert (found.mean, found.deviation) == (5.0, math.sqrt(13))
    margin = 0.95 / math.sqrt(2 * 0.975 * 0.025) * math.sqrt(13) / math.sqrt(3)
    assert found.interval == pytest.approx((5 - margin, 5 + margin), rel=1e-9)


@catches(SUBJECT, "    if num == 1:\n        return Summary(num, mean, None, None)\n", "")
def test_one_value_has_neither_deviation_nor_interval():
    assert summarize([3.5]) == Summary(1, 3.5, None, None)
    assert not summarize([3.5]).excludes_zero
    with pytest.raises(ValueError, match="values must hold at least one, got none"):
        summarize([])


@catches(SUBJECT, "values[seed] - reference[seed]", "reference[seed] - values[seed]")
@catches(SUBJECT, "values.keys() & reference.keys()", "values.keys()")
def test_differences_are_taken_seed_by_seed_where_both_are_there():
    ours, theirs = {0: 5.0, 1: 7.0, 2: 100.0}, {1: 4.0, 0: 1.0, 3: -50.0}
    assert paired_difference(ours, theirs) == summarize([4.0, 3.0])
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_a_shift_of_both_sides_by_seed_cancels():
    noise = {seed: 10.0 * seed for seed in range(5)}
    found = paired_difference({seed: value + 1 for seed, value in noise.items()}, noise)
    assert found.mean == 1
    assert found.deviation == 0
    assert found.excludes_zero


@catches(SUBJECT, "self.interval[0] > 0 or self.interval[1] < 0", "self.interval[0] > 0")
def test_an_interval_excludes_zero_on_either_side_and_not_where_it_touches_it():
    assert Summary(2, 2.0, 1.0, (1.0, 3.0)).excludes_zero
    assert Summary(2, -2.0, 1.0, (-3.0, -1.0)).excludes_zero
    assert not Summary(2, 0.0, 1.0, (-1.0, 1.0)).excludes_zero
    assert not Summary(2, 1.0, 1.0, (0.0, 2.0)).excludes_zero
