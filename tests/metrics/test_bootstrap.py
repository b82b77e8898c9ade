"""Intervals of figures from resamples."""

import numpy as np
import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal, seeded
from vistok.metrics import bootstrap_interval, frechet_distance

SUBJECT = "vistok.metrics.distribution.bootstrap"


def mean(values):
    return values.double().mean().item()


@catches(SUBJECT, "for q in (tail, 1.0 - tail)", "for q in (1.0 - tail, tail)")
@catches(SUBJECT, "2.0 * value - float(values.quantile(q))", "float(values.quantile(q))")
@catches(SUBJECT, "(1.0 - confidence) / 2", "1.0 - confidence")
def test_it_follows_its_formula():
    values = normal(0, 40)
    found = bootstrap_interval(mean, values, generator=seeded(3), resamples=60, confidence=0.9)
    draws = seeded(3)
    resampled = [mean(values[torch.randint(40, (40,), generator=draws)]) for _ in range(60)]
    low, high = np.quantile(resampled, [0.05, 0.95])
    wanted = (mean(values), 2 * mean(values) - high, 2 * mean(values) - low, np.std(resampled, ddof=1))
    assert found == pytest.approx(wanted, abs=1e-9)


@catches(SUBJECT, "torch.randint(len(images), (len(images),)", "torch.randint(len(images), (len(images) // 2,)")
def test_the_interval_of_a_mean_is_that_of_the_central_limit_theorem():
    """Deviation s / sqrt(n), ends 1.96 of them away."""
    values = normal(0, 400)
    found = bootstrap_interval(mean, values, generator=seeded(0), resamples=800)
    expected = values.std(correction=0).item() / 400**0.5
    assert found.deviation == pytest.approx(expected, rel=0.1)
    assert found.high - found.low == pytest.approx(2 * 1.96 * expected, rel=0.1)


def test_the_interval_of_a_biased_figure_holds_what_it_would_be_without_bias():
    """The Frechet distance of 100 draws to the distribution that they are of: 0, but for the bias."""
    samples, reference = normal(0, 100, 6), normal(1, 5000, 6)
    found = bootstrap_interval(
        lambda some: frechet_distance(some, reference), samples, generator=seeded(0), resamples=60
    )
    assert found.low < 0.02 < found.value
    assert found.high > 0


@catches(SUBJECT, "not 0 < confidence < 1", "False")
def test_bad_input_is_named():
    for values, options in (
        (torch.zeros(0), {}),
        (torch.zeros(3), {"resamples": 1}),
        (torch.zeros(3), {"confidence": 95.0}),
    ):
        with pytest.raises(ValueError, match="at least 1 image, at least 2 resamples and a confidence between 0 and 1"):
            bootstrap_interval(mean, values, generator=seeded(0), **options)
