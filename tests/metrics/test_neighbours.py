"""Precision, recall, density and coverage."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeds
from vistok.metrics import (
    NotMeasurableError,
    density_coverage,
    neighbour_measures,
    precision_recall,
    real_neighbourhoods,
)

SUBJECT = "vistok.metrics.distribution.neighbours"
REAL = torch.tensor([[0.0], [1.0], [3.0], [10.0]])  # radii with k = 1: 1, 1, 2, 7
SAMPLES = torch.tensor([[0.5], [4.5], [9.0]])  # radii with k = 1: 4, 4, 4.5


def distances(a, b):
    """Every distance, one pair at a time."""
    return np.array([[np.linalg.norm(p - q) for q in b.double().numpy()] for p in a.double().numpy()])


def radii(vectors, k):
    """Sorted, the distances of a vector start with itself: the k-th other one stands at k."""
    return np.sort(distances(vectors, vectors), axis=1)[:, k]


@catches(SUBJECT, "squares.fill_diagonal_(torch.inf)", "pass")
@catches(SUBJECT, "inside.any(dim=0)", "inside.all(dim=0)")
def test_precision_and_recall_by_hand():
    """Each sample lies within 7 of 10 or within 1 of 0: 3 of 3; 0, 1, 3 and 10 lie within 4 to 4.5 of a sample: 4 of 4.
    Two samples at 20 and 21 lie nowhere, and no real image is within 1 of them. Of 0.5, 0.6 and 18 the last lies
    nowhere, but its own neighbourhood, as wide as 17.4, holds all real images but 0.
    """
    assert precision_recall(REAL, SAMPLES, k=1) == (1.0, 1.0)
    assert precision_recall(REAL, torch.tensor([[20.0], [21.0]]), k=1) == (0.0, 0.0)
    assert precision_recall(REAL, torch.tensor([[0.5], [0.6], [18.0]]), k=1) == (2 / 3, 3 / 4)


@catches(SUBJECT, "in (len(y), len(x), len(x))", "in (len(y), len(x), len(x) + 1)")
def test_density_and_coverage_by_hand():
    """0.5 lies in the balls of 0 and 1; 4.5 in those of 3 and 10; 9 in that of 10: 5 for 3 samples; all are covered."""
    assert density_coverage(REAL, SAMPLES, k=1) == (5 / 3, 1.0)
    assert density_coverage(REAL, SAMPLES[:1], k=1) == (2.0, 0.5)
    assert density_coverage(REAL, torch.tensor([[21.0]]), k=3) == (0.0, 0.0)


@catches(SUBJECT, "[k - 1 for k in ks]", "[max(ks) - 1 - k for k in ks]")
@catches(SUBJECT, "[nearest[rows], squares]", "[squares]")
@catches(SUBJECT, "(squares <= sample_radii[which, columns]).any(dim=1)", "inside.any(dim=1)")
@catches(SUBJECT, "count / (k * len(y))", "count / len(y)")
@catches(SUBJECT, "among_real[which, columns] |= ", "among_real[which, columns] = ")
@catches(SUBJECT, "covered[which, rows] |= ", "covered[which, rows] = ")
def test_the_four_figures_follow_their_formulas_for_every_block_size():
    for seed, (n, count, k) in enumerate([(40, 30, 3), (25, 60, 5), (9, 8, 1)]):
        x, y = normal(seed, n, 4), normal(seed + 10, count, 4) * 1.3 + 0.4
        between, of_real, of_samples = distances(x, y), radii(x, k), radii(y, k)
        inside = between <= of_real[:, None]
        precision, recall = inside.any(0).mean(), (between <= of_samples).any(1).mean()
        for block_size in (1, 7, 1000):
            values = precision_recall(x, y, k=k, block_size=block_size)
            assert np.allclose(values, (precision, recall), atol=1e-12)
            spread = density_coverage(x, y, k=k, block_size=block_size)
            assert np.allclose(spread, (inside.sum() / (k * count), inside.any(1).mean()), atol=1e-12)
            several = neighbour_measures(x, y, k=(k, 1, 7), block_size=block_size)
            assert several[k] == (*values, *spread)
            assert several[7] == (*precision_recall(x, y, k=7), *density_coverage(x, y, k=7))
        assert 0 < precision < 1 or 0 < recall < 1


@given(seeds, st.integers(7, 40), st.integers(7, 40), st.integers(1, 5))
def test_shares_are_shares_and_ignore_order_shift_and_scale(seed, n, count, k):
    x, y = normal(seed, n, 3), normal(seed + 1, count, 3) + 0.5
    values = (*precision_recall(x, y, k=k), *density_coverage(x, y, k=k))
    assert all(0 <= value <= 1 for value in (*values[:2], values[3]))
    assert 0 <= values[2] <= n / k
    moved = [4 * side[torch.randperm(len(side))] + 7 for side in (x, y)]
    assert (*precision_recall(*moved, k=k), *density_coverage(*moved, k=k)) == pytest.approx(values, abs=1e-6)
    swapped = precision_recall(y, x, k=k)
    assert (swapped.recall, swapped.precision) == pytest.approx(values[:2], abs=1e-6)


def test_equal_sets_are_perfect_also_with_repeated_vectors():
    x = normal(0, 40, 5).repeat(2, 1)
    assert precision_recall(x, x.flip(0)) == (1.0, 1.0)
    assert density_coverage(x, x.flip(0)).coverage == 1.0


def test_the_edge_of_a_neighbourhood_belongs_to_it_so_that_equal_sets_are_denser_than_prdc_has_them():
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0], [15.0], [31.0]])
    for k in (1, 2, 4):
        assert density_coverage(x, x.flip(0), k=k).density == pytest.approx((k + 1) / k)


def test_draws_of_one_distribution_have_the_expected_density_and_coverage():
    x, y = normal(0, 2000, 3), normal(1, 2000, 3)
    density, coverage = density_coverage(x, y)
    assert density == pytest.approx(1.0, abs=0.05)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.01)


def test_a_generator_that_repeats_one_picture_a_class_is_seen_where_recognition_is_not():
    labels = torch.arange(60) % 3
    centres = 20 * torch.eye(3)[labels]
    real, held_out = centres + normal(0, 60, 3), centres + normal(1, 60, 3)
    repeated = centres + 0.01 * normal(2, 60, 3)
    assert precision_recall(held_out, repeated).precision == 1.0
    assert density_coverage(held_out, repeated).coverage < 0.6 < density_coverage(held_out, real).coverage
    assert precision_recall(held_out, repeated).recall < 0.1 < precision_recall(held_out, real).recall


@catches(SUBJECT, "return dict(zip(real.k, found, strict=True))", "return dict(zip(k, found, strict=False))")
def test_neighbourhoods_made_once_serve_several_sets_of_samples():
    real = normal(3, 40, 3)
    made = real_neighbourhoods(real, k=[4])
    for samples in (normal(4, 30, 3), real):
        assert neighbour_measures(made, samples) == neighbour_measures(real, samples, k=[4])
    assert neighbour_measures(made, real)[4].coverage == 1.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: precision_recall(torch.zeros(4, 2), torch.zeros(4, 3)), r"\(N, D\) and \(M, D\)"),
        (lambda: precision_recall(torch.zeros(4, 2), torch.zeros(4, 2), k=0), "k must be at least 1, got 0"),
        (lambda: density_coverage(torch.full((9, 2), torch.nan), torch.zeros(4, 2)), "real must be finite"),
        (lambda: neighbour_measures(torch.zeros(4, 2), torch.zeros(4, 2), k=[]), "k must be at least 1, got none"),
        (lambda: density_coverage(torch.zeros(9, 2), torch.zeros(4, 2), block_size=0), "block_size"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert not isinstance(caught.value, NotMeasurableError)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: precision_recall(torch.zeros(3, 2), torch.zeros(9, 2)), "real must hold at least 4 .* got 3"),
        (lambda: precision_recall(torch.zeros(9, 2), torch.zeros(3, 2)), "samples must hold at least 4 .* got 3"),
        (lambda: density_coverage(torch.zeros(5, 2), torch.zeros(1, 2)), "real must hold at least 6 .* got 5"),
        (lambda: neighbour_measures(torch.zeros(9, 2), torch.zeros(5, 2)), "samples must hold at least 6 .* got 5"),
    ],
)
def test_too_few_images_are_told_apart_from_mistakes(call, words):
    with pytest.raises(NotMeasurableError, match=words):
        call()
