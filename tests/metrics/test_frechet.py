"""Frechet distance, and the statistics that it is of."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeds
from vistok.metrics import FeatureStatistics, GaussianStatistics, frechet_distance, gaussian_factor

SUBJECT = "vistok.metrics.distribution.frechet"


def published_formula(a, b):
    """With a matrix square root, as evaluation scripts write it."""
    covariances = [np.cov(side, rowvar=False) for side in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = a.mean(0) - b.mean(0)
    return float(shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root))


@catches(SUBJECT, "- 2.0 * cross", "- cross")
def test_it_equals_the_published_formula():
    for seed, (n, k, dim) in enumerate([(60, 50, 5), (40, 80, 12), (9, 30, 9)]):
        a, b = normal(seed, n, dim) @ normal(seed + 10, dim, dim), normal(seed + 20, k, dim) * 2 + 1
        wanted = published_formula(a.double().numpy(), b.double().numpy())
        assert abs(frechet_distance(a, b) - wanted) < 1e-6 * max(1.0, wanted)


@catches(SUBJECT, "factor_1 @ factor_2.T", "factor_1.T @ factor_1")
def test_it_is_exact_with_fewer_vectors_than_features():
    """The eigenvalues of the product of the covariances, which are what the trace of its root needs."""
    a, b = normal(0, 6, 20), normal(1, 9, 20) + 0.5
    covariances = [np.cov(side.double().numpy(), rowvar=False) for side in (a, b)]
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(min=0)
    shift = (a.double().mean(0) - b.double().mean(0)).square().sum().item()
    wanted = shift + np.trace(covariances[0] + covariances[1]) - 2 * np.sqrt(eigenvalues).sum()
    assert abs(frechet_distance(a, b) - wanted) < 1e-5


@catches(SUBJECT, "(len(vectors) - 1) ** 0.5", "len(vectors) ** 0.5")
@catches(SUBJECT, "(mean_1 - mean_2).square()", "(mean_1 - mean_2).abs()")
def test_two_lines_by_hand():
    """One feature, means 1 and 4, variances 2 and 8: 9 + 2 + 8 - 2 sqrt(16) = 11."""
    assert abs(frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[2.0], [6.0]])) - 11.0) < 1e-9


@catches(SUBJECT, 'self._state["scatter"] / (self.count - 1)', 'self._state["scatter"] / self.count')
@catches(SUBJECT, "alpha=count * other / (count + other)", "alpha=1.0")
@catches(SUBJECT, "shift * (other / (count + other))", "shift / 2")
def test_streamed_statistics_equal_the_whole():
    features = normal(0, 50, 6) * 3 + 100
    streamed, first, second = (FeatureStatistics(6) for _ in range(3))
    for part in features.split([1, 20, 0, 29]):
        streamed.update(part)
    first.update(features[:17])
    second.update(features[17:])
    first.merge(second)
    for statistics in (streamed, first):
        assert statistics.count == 50
        assert np.allclose(statistics.mean, features.double().mean(0), atol=1e-9)
        assert np.allclose(statistics.covariance, np.cov(features.double().numpy(), rowvar=False), atol=1e-9)
    other = normal(1, 40, 6)
    assert abs(frechet_distance(streamed, other) - frechet_distance(features, other)) < 1e-6


@catches(SUBJECT, "except RuntimeError:", "except ValueError:")
@catches(SUBJECT, "eigenvectors, eigenvalues, _ = torch.linalg.svd", "_, eigenvalues, eigenvectors = torch.linalg.svd")
def test_a_covariance_whose_eigenvalues_do_not_converge_gives_the_same(monkeypatch):
    a, b = normal(0, 30, 5) * 3 + 1, normal(1, 9, 5)
    sides = []
    for side in (a, b):
        sides.append(FeatureStatistics(5))
        sides[-1].update(side)
    expected = frechet_distance(*sides)

    def failing(matrix):
        raise torch.linalg.LinAlgError("linalg.eigh: the algorithm failed to converge")

    monkeypatch.setattr(torch.linalg, "eigh", failing)
    assert frechet_distance(*sides) == pytest.approx(expected, rel=1e-9)


@catches(SUBJECT, "eigenvalues.clamp(min=0.0).sqrt()", "eigenvalues.clamp(min=0.0)")
def test_statistics_by_hand():
    """Means 0 and (3, 0), variances (1, 4) and (4, 4), no covariance: 9 + (1 - 2)^2 + (2 - 2)^2."""
    mean = torch.zeros(2, dtype=torch.float64)
    first = GaussianStatistics(mean, torch.diag(mean + torch.tensor([1.0, 4.0])))
    second = GaussianStatistics(mean + torch.tensor([3.0, 0.0]), torch.diag(mean + 4.0))
    assert abs(frechet_distance(first, second) - 10.0) < 1e-12


@given(seeds, st.integers(2, 12), st.integers(2, 12), st.integers(1, 8))
def test_it_is_a_symmetric_distance_whatever_the_counts(seed, n, k, dim):
    a, b = normal(seed, n, dim), normal(seed + 1, k, dim)
    value = frechet_distance(a, b)
    assert value >= 0
    assert value == pytest.approx(frechet_distance(b, a), abs=1e-9)
    assert frechet_distance(a, a) < 1e-6
    rotation = torch.linalg.qr(normal(seed + 2, dim, dim).double()).Q
    moved = [side.double() @ rotation + 5 for side in (a, b)]
    assert frechet_distance(*moved) == pytest.approx(value, abs=1e-6)
    statistics = []
    for side in (a, b):
        statistics.append(FeatureStatistics(dim))
        statistics[-1].update(side)
    assert frechet_distance(*statistics) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3)), "at least 2"),
        (lambda: frechet_distance(torch.zeros(5, 3), torch.zeros(5, 4)), "3 and 4"),
        (lambda: frechet_distance(torch.full((5, 3), math.inf), torch.zeros(5, 3)), "finite"),
        (lambda: FeatureStatistics(3).covariance, "at least 2"),
        (lambda: FeatureStatistics(3).update(torch.zeros(2, 4)), "(N, 3)"),
    ],
)
def test_bad_input_is_named_in_one_line(call, words):
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as caught:
        call()
    assert words in str(caught.value)


@catches(
    SUBJECT,
    "if isinstance(side, GaussianFactor):\n        return side",
    "if isinstance(side, GaussianFactor):\n        side = side.factor",
)
def test_a_factor_stands_for_the_features_that_it_is_of():
    draws = torch.Generator().manual_seed(0)
    first, second = (torch.randn(count, 5, generator=draws) for count in (30, 4))
    factor = gaussian_factor(first)
    torch.testing.assert_close(factor.factor.T @ factor.factor, first.double().T.cov())
    assert frechet_distance(second, factor) == frechet_distance(second, first)
    assert gaussian_factor(factor) is factor


@catches(SUBJECT, '(_finite_double(part, f"{name}: mean and covariance") for part in side)', "side")
@catches(SUBJECT, "mean.ndim != 1 or covariance.shape != (len(mean), len(mean))", "False")
def test_statistics_become_finite_float64_or_are_refused():
    whole = GaussianStatistics(normal(0, 3).double(), torch.eye(3, dtype=torch.float64))
    half = GaussianStatistics(*(part.float() for part in whole))
    factor = gaussian_factor(half)
    assert (factor.mean.dtype, factor.factor.dtype) == (torch.float64, torch.float64)
    assert frechet_distance(half, whole) == pytest.approx(0.0, abs=1e-12)
    nan = torch.full((3, 3), math.nan)
    line = r"^second: mean and covariance must be finite, got 9 values that are not$"
    with pytest.raises(ValueError, match=line):
        frechet_distance(whole, whole._replace(covariance=nan))
    with pytest.raises(
        ValueError, match=r"^first: mean and covariance must be \(D,\) and \(D, D\), got \(3,\) and \(2, 2\)$"
    ):
        frechet_distance(whole._replace(covariance=torch.eye(2)), whole)
