"""k-means centres; over several ranks they are in test_distributed.py."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import distances64, unit64
from _support.mutants import catches
from _support.strategies import normal, seeded, seeds
from vistok.quantizers import ResidualVectorQuantizer, VectorQuantizer, k_means

SUBJECT = "vistok.quantizers.k_means"


@catches(SUBJECT, "mean = total / count.clamp_min(1)", "mean = total / rows.shape[0]")
@catches(SUBJECT, "rows = rows_of_all_ranks(finite_rows(rows))", "rows = rows_of_all_ranks(rows)")
def test_by_hand():
    rows = torch.tensor([[0.0, 1.0], [0.0, 3.0], [9.0, 9.0], [11.0, 9.0], [math.nan, 0.0]])
    for seed in range(4):
        centres = k_means(rows, 2, generator=seeded(seed), iterations=10)
        if sorted(centres.tolist()) == [[0.0, 2.0], [10.0, 9.0]]:
            return
    raise AssertionError(centres)


@catches(SUBJECT, 'unit(mean) if metric == "cosine" else mean', "mean")
def test_it_never_increases_the_error():
    rows = normal(0, 200, 4)
    for metric in ("euclidean", "cosine"):
        features = unit64(rows) if metric == "cosine" else rows.double()
        errors = [
            distances64(features, k_means(rows, 12, generator=seeded(0), metric=metric, iterations=n), metric)
            .min(1)
            .values.sum()
            .item()
            for n in range(6)
        ]
        assert all(b <= a + 1e-6 for a, b in pairwise(errors))
        assert errors[-1] < errors[0]
        if metric == "cosine":
            length = k_means(rows, 12, generator=seeded(0), metric=metric).norm(dim=1)
            assert torch.allclose(length, torch.ones(12))


def lloyd64(rows, centres, steps):
    """Lloyd's iterations with loops; an empty cluster keeps its centre."""
    for _ in range(steps):
        nearest = distances64(rows, centres, "euclidean").argmin(1)
        means = [
            rows[nearest == k].double().mean(0) if (nearest == k).any() else centres[k] for k in range(len(centres))
        ]
        centres = torch.stack(means)
    return centres


@catches(SUBJECT, "torch.where(count > 0,", "torch.where(count >= 0,")
@catches(SUBJECT, "rows[order[:num_clusters].to", "rows[(0 * order[:num_clusters]).to")
@given(seeds, st.integers(0, 4))
def test_the_centres_are_those_of_lloyd_from_rows_drawn_without_replacement(seed, iterations):
    rows = torch.cat([normal(seed, 20, 3), torch.zeros(9, 3)])  # equal rows drawn twice leave a cluster empty
    start = k_means(rows, 12, generator=seeded(seed), iterations=0)
    assert all((rows == row).all(1).any() for row in start)
    assert sum((start == 0).all(1)) <= 9
    assert len(start[(start != 0).any(1)].unique(dim=0)) == int((start != 0).any(1).sum())
    got = k_means(rows, 12, generator=seeded(seed), iterations=iterations)
    torch.testing.assert_close(got.double(), lloyd64(rows, start.double(), iterations), atol=1e-5, rtol=1e-5)


def test_centres_lie_between_the_rows_in_float32():
    rows = normal(0, 50, 3).double()
    centres = k_means(rows, 5, generator=seeded(0))
    assert centres.dtype == torch.float32
    assert ((centres >= rows.amin(0) - 1e-6) & (centres <= rows.amax(0) + 1e-6)).all()


@catches(SUBJECT, "if rows.shape[0] < num_clusters:", "if False:")
def test_too_few_finite_rows_and_what_is_no_dense_tensor_are_named():
    rows = torch.ones(4, 3)
    rows[1, 2] = math.nan
    with pytest.raises(ValueError, match="at least num_clusters=4 finite rows, got 3"):
        k_means(rows, 4, generator=seeded(0))
    for thing in (None, np.zeros((4, 3), np.float32), torch.zeros(4, 3).to_sparse()):
        with pytest.raises(TypeError, match="rows must be a dense tensor, got"):
            k_means(thing, 2, generator=torch.Generator())


@catches(SUBJECT, "if rows.ndim != 2:", "if False:")
@catches(SUBJECT, "if iterations < 0:", "if False:")
@catches(SUBJECT, 'check_sizes("k_means", {"num_clusters": num_clusters})', "pass")
@catches(SUBJECT, 'if metric not in ("euclidean", "cosine"):', "if False:")
def test_wrong_arguments_are_named():
    rows = torch.ones(4, 3)
    with pytest.raises(ValueError, match=r"rows must be \(n, d\), got \(4,\)"):
        k_means(rows[:, 0], 2, generator=seeded(0))
    for clusters, iterations, expected in (
        (-1, 0, "num_clusters must be a whole number of at least 1, got -1"),
        (2.0, 1, r"num_clusters must be a whole number of at least 1, got 2\.0"),
        (2, -5, "iterations must be at least 0, got -5"),
    ):
        with pytest.raises(ValueError, match=f"^k_means: {expected}$"):
            k_means(rows, clusters, generator=seeded(0), iterations=iterations)
    with pytest.raises(ValueError, match="metric must be 'euclidean' or 'cosine', got 'cosin'"):
        k_means(rows, 2, generator=seeded(0), metric="cosin", iterations=0)


@catches(SUBJECT, "random_order(rows.shape[0], generator)", "random_order(rows.shape[0], torch.Generator())")
def test_without_a_generator_the_global_one_draws():
    rows, found = normal(0, 40, 3), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(k_means(rows, 3, generator=None, iterations=0))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_codebooks_are_initialized_and_revived_by_the_global_generator_too():
    z = normal(0, 40, 3)
    residual, vector = ResidualVectorQuantizer(8, 3, num_stages=2), VectorQuantizer(8, 3)
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        for quantizer in (residual, vector):
            quantizer.initialize(z, generator=None, iterations=0)
        vector.update()
        assert vector.revive(z, generator=None).tolist() == list(range(8))
        found.append(torch.cat([residual.codebooks[1][0], vector.codebook]).detach().clone())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
