"""Frechet distance at infinitely many samples."""

import numpy as np
import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal, seeded
from vistok.metrics import (
    FeatureStatistics,
    GaussianStatistics,
    NotMeasurableError,
    frechet_distance,
    frechet_distance_infinity,
)

SUBJECT = "vistok.metrics.distribution.extrapolation"


@catches(SUBJECT, "x = 1.0 / counts.double()", "x = counts.double()")
@catches(SUBJECT, "y.mean() - slope * x.mean()", "y.mean() + slope * x.mean()")
@catches(SUBJECT, "torch.linspace(least, len(samples)", "torch.linspace(2, len(samples)")
def test_it_is_the_intercept_of_a_line_through_subsets():
    samples, reference = normal(0, 90, 3) * 1.2, normal(1, 60, 3) + 0.4
    found = frechet_distance_infinity(samples, reference, generator=seeded(7), num_points=5, smallest=30)
    draws = seeded(7)
    counts = [30, 45, 60, 75, 90]
    distances = [frechet_distance(samples[torch.randperm(90, generator=draws)[:count]], reference) for count in counts]
    slope, value = np.polyfit(1 / np.array(counts), distances, 1)
    assert found.counts.tolist() == counts
    assert found.distances.tolist() == pytest.approx(distances, abs=1e-9)
    assert (found.value, found.slope) == pytest.approx((value, slope), abs=1e-8)
    assert found.distances[-1] == pytest.approx(frechet_distance(samples, reference), abs=1e-9)


def test_two_points_by_hand():
    """A line through (1/2, a) and (1/4, b) meets 0 at 2 b - a."""
    samples, reference = normal(0, 4, 1), normal(1, 9, 1)
    found = frechet_distance_infinity(samples, reference, generator=seeded(0), num_points=2, smallest=2)
    few, all_of_them = found.distances.tolist()
    assert found.value == pytest.approx(2 * all_of_them - few, abs=1e-12)


def test_it_comes_nearer_to_the_distance_of_the_distributions():
    """Normal features against their own mean and covariance: the distance is 0, and the bias all that is measured."""
    eight = GaussianStatistics(torch.zeros(8, dtype=torch.float64), torch.eye(8, dtype=torch.float64))
    plain, extrapolated = [], []
    for seed in range(20):
        found = frechet_distance_infinity(normal(seed, 600, 8), eight, generator=seeded(seed), smallest=100)
        plain.append(float(found.distances[-1]))
        extrapolated.append(found.value)
    assert min(plain) > 0.02
    assert abs(np.mean(extrapolated)) < 0.25 * np.mean(plain)
    assert found.slope > 0


@catches(SUBJECT, "if not 2 <= least < len(samples):", "if least < 2:")
def test_bad_input_is_named():
    x = normal(0, 30, 2)
    statistics = FeatureStatistics(2)
    statistics.update(x)
    assert frechet_distance_infinity(x, statistics, generator=seeded(0)).counts[0] == 3
    with pytest.raises(NotMeasurableError, match="two sizes of at least 2 are needed, got 1 and 15 samples"):
        frechet_distance_infinity(x[:15], x, generator=seeded(0))
    with pytest.raises(NotMeasurableError, match="got 30 and 30 samples"):
        frechet_distance_infinity(x, x, generator=seeded(0), smallest=30)
    with pytest.raises(ValueError, match="num_points must be at least 2, got 1"):
        frechet_distance_infinity(x, x, generator=seeded(0), num_points=1)
