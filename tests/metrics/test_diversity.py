"""How far samples of a class are from one another."""

import numpy as np
import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.metrics import NotMeasurableError, relative_diversity

SUBJECT = "vistok.metrics.distribution.diversity"


@catches(SUBJECT, "(len(vectors) - 1))", "len(vectors))")
def test_it_is_a_ratio_of_mean_distances_within_classes():
    x, y = normal(0, 30, 3), normal(1, 20, 3) * 0.5
    of_x, of_y = torch.arange(30) % 3, torch.arange(20) % 4  # class 3 has no real image
    means = []
    for side, labels in ((x, of_x), (y, of_y)):
        within = [side[labels == c].double().numpy() for c in range(3)]
        means.append(sum(np.mean([np.linalg.norm(a - b) for i, a in enumerate(c) for b in c[:i]]) for c in within))
    for block_size in (1, 4, 100):
        value = relative_diversity(x, of_x, y, of_y, block_size=block_size)
        assert abs(value - means[1] / means[0]) < 1e-12


@catches(SUBJECT, "of_samples / of_real", "of_real / of_samples")
@catches(SUBJECT, "x[real_labels == label], y[sample_labels == label]", "x, y[sample_labels == label]")
@catches(SUBJECT, "min(map(len, sides)) >= 2", "len(sides[0]) >= 2 and len(sides[1]) >= 1")
def test_by_hand():
    """Real pairs are 3 and 6 apart, samples 1 and 2: (1 + 2) / (3 + 6); a class with one sample does not count."""
    real, samples = torch.tensor([[0.0], [3.0], [10.0], [16.0]]), torch.tensor([[0.0], [1.0], [5.0], [7.0], [90.0]])
    labels = torch.tensor([0, 0, 1, 1])
    value = relative_diversity(real, labels, samples, torch.tensor([0, 0, 1, 1, 2]))
    assert abs(value - 3 / 9) < 1e-12
    only_first = relative_diversity(real, labels, samples[:3], torch.tensor([0, 0, 1]))
    assert abs(only_first - 1 / 3) < 1e-12


def test_equal_sets_have_1_also_with_repeated_vectors():
    x = normal(0, 40, 5).repeat(2, 1)
    labels = torch.arange(80) % 4
    assert relative_diversity(x, labels, x.flip(0), labels.flip(0)) == pytest.approx(1.0, abs=1e-12)


def test_a_generator_that_repeats_one_picture_a_class_is_seen():
    labels = torch.arange(60) % 3
    centres = 20 * torch.eye(3)[labels]
    real, held_out = centres + normal(0, 60, 3), centres + normal(1, 60, 3)
    repeated = centres + 0.01 * normal(2, 60, 3)
    assert relative_diversity(held_out, labels, repeated, labels) < 0.05
    assert relative_diversity(held_out, labels, real, labels) == pytest.approx(1.0, abs=0.3)


def test_bad_input_is_named_and_told_apart_from_what_the_data_do_not_allow():
    with pytest.raises(ValueError, match="real labels") as mistake:
        relative_diversity(torch.zeros(4, 2), torch.zeros(3), torch.zeros(4, 2), torch.zeros(4))
    assert not isinstance(mistake.value, NotMeasurableError)
    with pytest.raises(NotMeasurableError, match="got none"):
        relative_diversity(torch.eye(2), torch.arange(2), torch.eye(2), torch.arange(2))
    with pytest.raises(NotMeasurableError, match="got equal ones"):
        relative_diversity(torch.ones(2, 2), torch.ones(2), torch.eye(2), torch.ones(2))
