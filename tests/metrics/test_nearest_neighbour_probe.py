"""The vote of the nearest training features."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeded
from vistok.metrics import NotMeasurableError, nearest_neighbour_accuracy

SUBJECT = "vistok.metrics.codes.nearest_neighbour_probe"


def one_by_one(train, classes, features, labels, k, temperature):
    train, features = (side.flatten(1).double().numpy() for side in (train, features))
    right = 0
    for vector, label in zip(features, labels.tolist(), strict=True):
        cosines = train @ vector / (np.linalg.norm(train, axis=1) * np.linalg.norm(vector))
        nearest = np.argsort(-cosines)[:k]
        votes = np.zeros(int(classes.max()) + 1)
        for i in nearest:
            votes[int(classes[i])] += np.exp(cosines[i] / temperature)
        right += int(np.argmax(votes)) == label
    return right / len(features)


@catches(SUBJECT, "((cosines - 1) / temperature).exp()", "torch.ones_like(cosines)")
@catches(SUBJECT, "topk(min(k, len(train)), dim=1)", "topk(min(k, len(train)), dim=1, largest=False)")
@catches(SUBJECT, "topk(min(k, len(train)), dim=1)", "topk(1, dim=1)")
def test_it_is_the_vote_that_is_written_for_every_block_size():
    train, classes = normal(0, 60, 3, 2), torch.arange(60) % 4
    features = normal(1, 80, 3, 2)
    labels = torch.randint(4, (80,), generator=seeded(0))
    for k, temperature in ((1, 0.07), (7, 0.5), (20, 0.07), (90, 1.0)):
        wanted = one_by_one(train, classes, features, labels, k, temperature)
        for block_size in (7, 1000):
            found = nearest_neighbour_accuracy(
                train, classes, features, labels, k=k, temperature=temperature, block_size=block_size
            )
            assert found == wanted


@catches(SUBJECT, "vectors / norms", "vectors")
def test_by_hand():
    """One vote at cosine 1 weighs e^(1/t), two at 0.6 weigh 2 e^(0.6/t): the first wins at t = 0.5, not at t = 1."""
    train, classes = torch.tensor([[1.0, 0.0], [6.0, 8.0], [6.0, -8.0]]), torch.tensor([3, 7, 7])
    for temperature, label in ((0.5, 3), (1.0, 7)):
        options = {"k": 3, "temperature": temperature}
        assert (
            nearest_neighbour_accuracy(train, classes, torch.tensor([[2.0, 0.0]]), torch.tensor([label]), **options)
            == 1
        )


@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_the_scale_of_a_vector_does_not_matter(seed, scale):
    x, y, z, w = normal(seed, 20, 4), torch.arange(20) % 3, normal(seed + 1, 9, 4), torch.arange(9) % 3
    assert nearest_neighbour_accuracy(x, y, z, w) == nearest_neighbour_accuracy(x, y, z * scale, w)


def test_separable_classes_are_all_told_apart_and_their_own_neighbours_are_right():
    labels = torch.arange(60) % 5
    centres = 10 * torch.eye(5)[labels]
    x, z = centres + normal(0, 60, 5), centres + normal(1, 60, 5)
    assert nearest_neighbour_accuracy(x, labels, z, labels) == 1.0
    assert nearest_neighbour_accuracy(z, labels, z, labels, k=1) == 1.0


@catches(SUBJECT, "train.shape[1] != measured.shape[1]", "False")
@catches(SUBJECT, "if bool((norms == 0).any()):", "if False:")
def test_bad_input_is_named():
    x, y = normal(0, 4, 3), torch.arange(4)
    for arguments, options, error, words in (
        ((x, y[:3], x, y), {}, ValueError, r"train features and labels must be .* got \(4, 3\) and \(3,\)"),
        ((x, y, x[:0], y[:0]), {}, ValueError, "measured .* not empty"),
        ((x, y, x[:, :2], y), {}, ValueError, "one width, got 3 and 2"),
        ((x, y, x, y.float()), {}, TypeError, r"measured labels must be integers, got torch\.float32"),
        ((x, y - 1, x, y), {}, ValueError, "train labels must be at least 0, got -1"),
        ((x / 0, y, x, y), {}, ValueError, "train features must be finite"),
        ((x, y, x * 0, y), {}, NotMeasurableError, "measured features may be zero"),
        ((x, y, x, y), {"k": 0}, ValueError, "must be positive, got 0, 0.07 and 1024"),
    ):
        with pytest.raises(error, match=words):
            nearest_neighbour_accuracy(*arguments, **options)
