"""Kernel distance: the exact value, and that of subsets."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeded, seeds
from vistok.metrics import NotMeasurableError, kernel_distance, kernel_distance_of_subsets

SUBJECT = "vistok.metrics.distribution.kernel"


def by_pairs(x, y):
    """Each pair by itself, in float64."""
    x, y = (side.double().numpy() for side in (x, y))

    def kernel(u, v):
        return (u @ v / len(u) + 1) ** 3

    def within(side):
        return np.mean([kernel(u, v) for i, u in enumerate(side) for j, v in enumerate(side) if i != j])

    return within(x) + within(y) - 2 * np.mean([kernel(u, v) for u in x for v in y])


@catches(SUBJECT, "_DEGREE = 3", "_DEGREE = 2")
@catches(SUBJECT, "products / dim + 1.0", "products + 1.0")
@catches(SUBJECT, " - _own_sum(side)) / (len(side) * (len(side) - 1))", ") / len(side) ** 2")
@catches(SUBJECT, "- 2.0 * _kernel_sum(x, y, block_size)", "- _kernel_sum(x, y, block_size)")
def test_it_follows_its_formula_for_every_block_size():
    for seed, (n, m, dim) in enumerate([(9, 7, 4), (2, 12, 1), (20, 2, 6)]):
        x, y = normal(seed, n, dim), normal(seed + 10, m, dim) * 2 + 0.5
        for block_size in (1, 5, 100):
            assert kernel_distance(x, y, block_size=block_size) == pytest.approx(by_pairs(x, y), rel=1e-10, abs=1e-10)


def test_by_hand():
    """Zeros against ones in one dimension: 1 of a pair of zeros, 8 of a pair of ones, 1 across."""
    assert kernel_distance(torch.zeros(3, 1), torch.ones(2, 1)) == pytest.approx(1 + 8 - 2, abs=1e-12)


def test_its_expectation_does_not_fall_with_the_count():
    for count in (20, 200):
        values = [kernel_distance(normal(s, count, 4), normal(s + 500, count, 4)) for s in range(60)]
        assert abs(np.mean(values)) < 3 * np.std(values) / 60**0.5


@given(seeds, st.integers(2, 9), st.integers(2, 9))
def test_it_is_symmetric_and_at_most_0_for_one_set_twice(seed, n, m):
    x, y = normal(seed, n, 3), normal(seed + 1, m, 3)
    assert kernel_distance(x, y) == pytest.approx(kernel_distance(y, x), abs=1e-9)
    assert kernel_distance(x, x) <= 1e-9


@catches(SUBJECT, "values.std(correction=0)", "values.std()")
@catches(SUBJECT, "torch.randperm(len(side), generator=generator)[:subset_size]", "torch.arange(subset_size)")
def test_subsets_are_drawn_from_both_sides_one_after_the_other():
    x, y = normal(0, 30, 4), normal(1, 25, 4) + 0.3
    draws, values = seeded(5), []
    for _ in range(6):
        first, second = (side[torch.randperm(len(side), generator=draws)[:10]] for side in (x, y))
        values.append(by_pairs(first, second))
    found = kernel_distance_of_subsets(x, y, generator=seeded(5), num_subsets=6, subset_size=10)
    assert found == pytest.approx((np.mean(values), np.std(values)), rel=1e-9)


@catches(SUBJECT, "min(len(first), len(second)) < subset_size", "len(first) < subset_size")
@catches(SUBJECT, "if subset_size < 2:", "if subset_size < 1:")
def test_bad_input_is_named():
    x = torch.zeros(5, 2)
    for call, error, words in (
        (lambda: kernel_distance(x, torch.zeros(5, 3)), ValueError, r"\(5, 2\) and \(5, 3\)"),
        (lambda: kernel_distance(x, x, block_size=0), ValueError, "block_size"),
        (lambda: kernel_distance(x / 0, x), ValueError, "first must be finite"),
        (lambda: kernel_distance(x, x[:1]), NotMeasurableError, "second must hold at least 2"),
        (
            lambda: kernel_distance_of_subsets(x, x[:3], generator=seeded(0), subset_size=4),
            NotMeasurableError,
            "5 and 3",
        ),
        (lambda: kernel_distance_of_subsets(x, x, generator=seeded(0), num_subsets=0), ValueError, "num_subsets"),
        (lambda: kernel_distance_of_subsets(x, x, generator=seeded(0), subset_size=-2), ValueError, "subset_size"),
        (lambda: kernel_distance_of_subsets(x, x, generator=seeded(0), subset_size=1), ValueError, "subset_size"),
    ):
        with pytest.raises(error, match=words):
            call()
