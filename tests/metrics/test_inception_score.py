"""Inception Score over splits that no order of the images changes."""

import math
import warnings

import numpy as np
import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal, seeded
from vistok.metrics import InceptionScore, NotMeasurableError, inception_score

SUBJECT = "vistok.metrics.distribution.inception_score"


def published(p, splits):
    """As its authors' code: consecutive images, the mean divergence of each split."""
    scores = []
    for part in np.array_split(p.double().numpy(), splits):
        marginal = part.mean(0, keepdims=True)
        scores.append(np.exp((part * (np.log(part) - np.log(marginal))).sum(1).mean()))
    return np.mean(scores), np.std(scores)


def sorted_by_class(count, classes):
    """Images of each class in turn, each nearly sure."""
    return (8 * torch.eye(classes).repeat_interleave(count // classes, dim=0)).softmax(dim=1)


@catches(SUBJECT, "-torch.special.entr(p).sum(dim=1)", "torch.special.entr(p).sum(dim=1)")
@catches(SUBJECT, "scores.std(correction=0)", "scores.std()")
@catches(SUBJECT, "probabilities.tensor_split(splits)", "probabilities.split(splits)")
def test_in_the_order_of_the_file_it_is_the_published_one():
    p = (2 * normal(0, 61, 5)).softmax(dim=1)
    for splits in (3, 10):
        assert inception_score(p, splits=splits, seed=None) == pytest.approx(published(p, splits), abs=1e-10)


def test_by_hand():
    """(1, 0) and (1/2, 1/2): mean (3/4, 1/4), divergences log(4/3) and log(2/3)/2 + log(2)/2, which is log(4/3)/2."""
    found = inception_score(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), splits=1)
    assert found.mean == pytest.approx(math.exp(0.75 * math.log(4 / 3)), abs=1e-12)
    assert found.deviation == 0.0


@catches(SUBJECT, "image_keys(indices, self.seed).remainder", "indices.remainder")
@catches(SUBJECT, "image_keys(indices, self.seed)", "image_keys(indices, 0)")
def test_splits_are_random_and_decided_by_the_seed():
    metric = InceptionScore(10, splits=7, seed=3)
    split = metric._split_of(torch.arange(7000))
    assert (split.bincount(minlength=7) - 1000).abs().max() < 120  # four deviations of chance
    assert torch.equal(metric._split_of(torch.tensor([5, 699, 0])), split[[5, 699, 0]])
    assert (InceptionScore(10, splits=7, seed=4)._split_of(torch.arange(7000)) != split).double().mean() > 0.8
    in_turn, sorted_classes = torch.arange(7000) % 7, torch.arange(7000) // 1000
    for classes in (in_turn, sorted_classes):  # no class prefers a split, nor is shared out evenly
        counts = (7 * classes + split).bincount(minlength=49).double()
        assert 0.4 < counts.var() / counts.mean() < 2.5


def test_no_order_of_the_images_matters():
    p = (2 * normal(0, 100, 5)).softmax(dim=1)
    order = torch.randperm(100, generator=seeded(0))
    metric = InceptionScore(5)
    for part in order.split(7):
        metric.update(p[part], part)
    assert metric.compute() == pytest.approx(inception_score(p), abs=1e-10)


@catches(SUBJECT, "float(alike - chance) > _LIKE_NEIGHBOURS", "float(alike - chance) > 1")
def test_images_sorted_by_class_are_told_in_file_order_and_do_no_harm_otherwise():
    p = sorted_by_class(2000, 10)
    shuffled = p[torch.randperm(2000, generator=seeded(0))]
    with pytest.warns(UserWarning, match="of the class of the one before, by chance 10%"):
        in_order = inception_score(p, seed=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inception_score(shuffled, seed=None)
        mixed = inception_score(p)
    assert in_order.mean < 3 < 6 < mixed.mean
    assert mixed.mean == pytest.approx(inception_score(shuffled).mean, rel=0.02)


@catches(
    SUBJECT,
    '    if probabilities.ndim != 2:\n        raise ValueError(f"probabilities must be (N, C)',
    '    if False:\n        raise ValueError(f"no (N, C)',
)
def test_probabilities_of_one_dimension_are_named_in_either_order():
    for seed in (0, None):
        with pytest.raises(ValueError, match=r"^probabilities must be \(N, C\), got \(4,\)$"):
            inception_score(torch.full((4,), 0.25), splits=1, seed=seed)


@catches(SUBJECT, "(p >= 0).all(dim=1) & ", "")
@catches(SUBJECT, "(p.sum(dim=1) - 1).abs() < 1e-3", "p.sum(dim=1) < 1 + 1e-3")
def test_bad_input_is_named():
    metric = InceptionScore(3)
    for p in (torch.tensor([[2.0, -1.0, 0.0]]), torch.zeros(1, 3), torch.full((1, 3), math.nan)):
        with pytest.raises(ValueError, match="sum to 1"):
            metric.update(p, torch.tensor([0]))
    with pytest.raises(ValueError, match=r"\(B, 3\), got \(1, 4\)"):
        metric.update(torch.ones(1, 4) / 4, torch.tensor([0]))
    with pytest.raises(ValueError, match="splits must be at least 1, got 3 and 0"):
        InceptionScore(3, splits=0)
    with pytest.raises(NotMeasurableError, match="at least 1 image in each split"):
        inception_score(torch.ones(9, 3) / 3)
