"""Precision, recall, density, coverage and diversity: their docstrings' sentences, and planted bugs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vistok.workbench.metrics as metrics
from _support import neighbour_checks as checks
from _support.mutants import mutated
from _support.strategies import normal, seeds
from vistok.workbench.metrics import NotMeasurableError, density_coverage, precision_recall, relative_diversity

MUTANTS = [
    ("squares[own - rows.start, own] = torch.inf", "pass", checks.precision_and_recall_by_hand),
    ("squares.kthvalue(k,", "squares.kthvalue(k + 1,", checks.neighbour_figures_follow_their_formulas),
    ("real_radii[rows, None]).any(dim=0)", "real_radii[rows, None]).all(dim=0)", checks.precision_and_recall_by_hand),
    ("(squares <= sample_radii).any(dim=1)", "(squares <= real_radii[rows, None]).any(dim=1)",
     checks.neighbour_figures_follow_their_formulas),
    ("hits / (k * len(y))", "hits / len(y)", checks.neighbour_figures_follow_their_formulas),
    ("covered / len(x)", "covered / len(y)", checks.density_and_coverage_by_hand),
    ("lengths - 2 * part @ y.T", "lengths - part @ y.T", checks.neighbour_figures_follow_their_formulas),
    ("(len(vectors) - 1))", "len(vectors))", checks.diversity_is_a_ratio_of_mean_distances_within_classes),
    ("of_samples / of_real", "of_real / of_samples", checks.diversity_by_hand),
    ("x[real_labels == label], y[sample_labels == label]", "x, y[sample_labels == label]", checks.diversity_by_hand),
    ("min(map(len, sides)) >= 2", "len(sides[0]) >= 2 and len(sides[1]) >= 1",
     checks.diversity_by_hand),
]  # fmt: skip


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_that(check):
    check(metrics)


@pytest.mark.parametrize(("old", "new", "check"), MUTANTS)
def test_planted_bug_is_noticed(old, new, check):
    with mutated("vistok.workbench.metrics", "neighbours", old, new) as broken:
        with pytest.raises((AssertionError, ZeroDivisionError)):
            check(broken)


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
    labels = torch.arange(80) % 4
    assert precision_recall(x, x.flip(0)) == (1.0, 1.0)
    assert density_coverage(x, x.flip(0)).coverage == 1.0
    assert relative_diversity(x, labels, x.flip(0), labels.flip(0)) == pytest.approx(1.0, abs=1e-12)


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
    assert relative_diversity(held_out, labels, repeated, labels) < 0.05
    assert relative_diversity(held_out, labels, real, labels) == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: precision_recall(torch.zeros(4, 2), torch.zeros(4, 3)), r"\(N, D\) and \(M, D\)"),
        (lambda: precision_recall(torch.zeros(4, 2), torch.zeros(4, 2), k=0), "k and block_size"),
        (lambda: density_coverage(torch.full((9, 2), torch.nan), torch.zeros(4, 2)), "real must be finite"),
        (
            lambda: relative_diversity(torch.zeros(4, 2), torch.zeros(3), torch.zeros(4, 2), torch.zeros(4)),
            "real labels",
        ),
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
        (lambda: relative_diversity(torch.eye(2), torch.arange(2), torch.eye(2), torch.arange(2)), "got none"),
        (lambda: relative_diversity(torch.ones(2, 2), torch.ones(2), torch.eye(2), torch.ones(2)), "got equal ones"),
    ],
)
def test_too_few_images_are_told_apart_from_mistakes(call, words):
    with pytest.raises(NotMeasurableError, match=words):
        call()
