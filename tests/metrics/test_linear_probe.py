"""The linear probe."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from _support.mutants import catches
from vistok.metrics import linear_probe_accuracy
from vistok.metrics.codes import linear_probe
from vistok.workbench.data import load_images

SUBJECT = "vistok.metrics.codes.linear_probe"


def blobs(count, classes, width, distance, seed=0):
    """Samples around one unit vector a class, with deviation 1, and their labels."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    return distance * torch.eye(width)[labels] + torch.randn(count, width, generator=rng), labels


@given(st.integers(2, 6), st.integers(6, 40), st.integers(0, 10**6))
@settings(max_examples=8)
def test_separable_classes_are_all_told_apart(classes, width, seed):
    x, y = blobs(20 * classes, classes, width, 40.0, seed)
    assert linear_probe_accuracy(x, y, *blobs(10 * classes, classes, width, 40.0, seed + 1)) == 1.0


@given(st.integers(2, 5), st.integers(0, 10**6))
@settings(max_examples=10)
def test_labels_that_features_do_not_know_are_met_by_chance(classes, seed):
    x, y = blobs(500, classes, 8, 0.0, seed)
    accuracy = linear_probe_accuracy(x, y, *blobs(2000, classes, 8, 0.0, seed + 1))
    chance = 1 / classes
    assert abs(accuracy - chance) < 5 * (chance * (1 - chance) / 2000) ** 0.5


@given(st.integers(0, 5), st.floats(1e-4, 1e4), st.floats(-100, 100))
@settings(max_examples=20)
def test_the_scale_and_the_zero_of_a_feature_do_not_matter(feature, scale, shift):
    (x, y), (z, w) = blobs(300, 3, 6, 1.5), blobs(400, 3, 6, 1.5, seed=1)
    plain = linear_probe_accuracy(x, y, z, w)
    moved = [part.clone().double() for part in (x, z)]
    for part in moved:
        part[:, feature] = part[:, feature] * scale + shift
    assert abs(linear_probe_accuracy(moved[0], y, moved[1], w) - plain) <= 1 / 400


def test_the_same_numbers_twice_and_flattened():
    (x, y), (z, w) = blobs(200, 4, 12, 1.5), blobs(300, 4, 12, 1.5, seed=1)
    first = linear_probe_accuracy(x, y, z, w)
    assert 0.3 < first < 1
    assert first == linear_probe_accuracy(x, y, z, w)
    assert first == linear_probe_accuracy(x.view(200, 3, 2, 2), y, z.view(300, 3, 2, 2), w)
    assert first == linear_probe_accuracy(x, 7 * y - 3, z, 7 * w - 3)


def test_a_hand_made_case():
    """The boundary lies halfway, at 0, whatever the strength; a feature that never changes in training is not read."""
    x = torch.tensor([[-3.0, 5.0], [-2.0, 5.0], [-1.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    y = torch.tensor([4, 4, 4, 9, 9, 9])
    z = torch.tensor([[-9.0, 0.0], [-0.5, 99.0], [0.5, -99.0], [9.0, 5.0]])
    assert linear_probe_accuracy(x, y, z, torch.tensor([4, 4, 9, 9])) == 1.0
    assert linear_probe_accuracy(x, y, z, torch.tensor([4, 9, 9, 9])) == 0.75
    assert linear_probe_accuracy(x, y, z, torch.tensor([4, 4, 9, 5])) == 0.75


@catches(SUBJECT, "C=1 / (strength * len(y))", "C=1 / strength")
@catches(SUBJECT, "C=1 / (strength * len(y))", "C=strength * len(y)")
def test_at_the_fitted_weights_the_gradient_of_the_written_objective_is_zero():
    """Derived by hand."""
    x, y = blobs(120, 3, 5, 1.0)
    x = x.numpy() / 5**0.5
    for strength in (1e-2, 1e-3):
        model = linear_probe._fit(x.astype(np.float64), y.numpy(), strength)
        probability = model.predict_proba(x)
        gradient = (probability - np.eye(3)[y.numpy()]).T @ x / 120 + strength * model.coef_
        assert np.abs(gradient).max() < 3e-4
        assert np.abs((probability - np.eye(3)[y.numpy()]).mean(0)).max() < 3e-4


@catches(SUBJECT, "max(1, len(members) // _HELD_OUT)", "len(members) // _HELD_OUT")
@catches(SUBJECT, "draws.permutation(np.flatnonzero(y == label))", "np.flatnonzero(y == label)")
def test_a_fifth_of_each_class_is_held_out():
    y = np.repeat([0, 1, 2, 3], [10, 4, 1, 23])
    for seed in range(5):
        mask = linear_probe._held_out(y, seed)
        assert [int(mask[y == label].sum()) for label in range(4)] == [2, 1, 0, 4]
    assert not np.array_equal(linear_probe._held_out(y, 0), linear_probe._held_out(y, 1))


@catches(SUBJECT, "np.argmax(scores)", "np.argmin(scores)")
def test_the_best_strength_on_the_held_out_part_is_taken():
    for seed, width in ((0, 40), (1, 60), (2, 80)):
        x, y = (part.numpy() for part in blobs(100, 2, width, 1.5, seed))
        x = x / width**0.5
        held_out = linear_probe._held_out(y, 0)
        scores = {
            s: np.mean(linear_probe._fit(x[~held_out], y[~held_out], s).predict(x[held_out]) == y[held_out])
            for s in linear_probe.STRENGTHS
        }
        best = max(s for s in scores if scores[s] == max(scores.values()))
        assert linear_probe._chosen_strength(x, y, 0) == best


@catches(SUBJECT, "scaler.transform(rows) / rows.shape[1] ** 0.5", "scaler.transform(rows)")
def test_the_width_does_not_change_the_strength():
    """Every feature repeated nine times is the same problem."""
    (x, y), (z, w) = blobs(90, 3, 6, 1.0), blobs(900, 3, 6, 1.0, seed=1)
    wide = linear_probe_accuracy(x.repeat(1, 9), y, z.repeat(1, 9), w)
    assert abs(wide - linear_probe_accuracy(x, y, z, w)) <= 3 / 900
    first, second = (
        linear_probe._standardised(StandardScaler().fit(part), part)
        for part in (x.double().numpy(), x.repeat(1, 9).double().numpy())
    )
    np.testing.assert_allclose(first @ first.T, second @ second.T, atol=1e-5)


def test_pixels_of_the_digits_give_the_accuracy_of_the_page():
    digits = load_images()
    train, held_out = digits.train.images[::4], digits.validation.images
    accuracy = linear_probe_accuracy(train, digits.train.labels[::4], held_out, digits.validation.labels)
    assert 0.85 < accuracy < 0.93


def test_bad_input_is_named():
    x, y = blobs(10, 2, 3, 1.0)
    with pytest.raises(ValueError, match=r"train features and labels must be .* got \(10, 3\) and \(9,\)"):
        linear_probe_accuracy(x, y[:9], x, y)
    with pytest.raises(ValueError, match=r"measured features and labels must be .* got \(4, 3\) and \(10,\)"):
        linear_probe_accuracy(x, y, x[:4], y)
    with pytest.raises(ValueError, match="not empty"):
        linear_probe_accuracy(x, y, x[:0], y[:0])
    with pytest.raises(ValueError, match="one width, got 3 and 2"):
        linear_probe_accuracy(x, y, x[:, :2], y)
    with pytest.raises(ValueError, match=r"2 classes and one of them twice, got counts \[10\]"):
        linear_probe_accuracy(x, torch.zeros_like(y), x, y)
    with pytest.raises(ValueError, match=r"one of them twice, got counts \[1, 1\]"):
        linear_probe_accuracy(x[:2], y[:2], x, y)
    with pytest.raises(ValueError, match="train features must be finite"):
        linear_probe_accuracy(x / 0, y, x, y)
    with pytest.raises(TypeError, match=r"measured labels must be integers, got torch\.float32"):
        linear_probe_accuracy(x, y, x, y.float())


@catches(SUBJECT, "partial_fit(_rows(rows))", "fit(_rows(rows))")
@catches(SUBJECT, "for rows in features.split(_AT_A_TIME)]", "for rows in features[:_AT_A_TIME].split(_AT_A_TIME)]")
def test_many_samples_are_standardised_a_part_at_a_time_with_the_same_result(monkeypatch):
    (x, y), (z, w) = blobs(300, 4, 12, 1.5), blobs(500, 4, 12, 1.5, seed=1)
    x[200:] += 5  # parts that differ
    whole = linear_probe_accuracy(x, y, z, w)
    monkeypatch.setattr(linear_probe, "_AT_A_TIME", 64)
    assert abs(linear_probe_accuracy(x, y, z, w) - whole) <= 1 / 500


@catches(SUBJECT, "for rows in train_features.split(_AT_A_TIME)])", "for rows in [train_features]])")
def test_no_second_copy_of_the_features_is_held_in_double_precision(monkeypatch):
    """What is held beside the features: all of them once in float32, four fifths of those once more, and parts."""
    x, y = blobs(4000, 2, 500, 3.0)
    linear_probe_accuracy(x[:100], y[:100], x[:100], y[:100])  # libraries
    monkeypatch.setattr(linear_probe, "_AT_A_TIME", 256)
    tracemalloc.start()
    try:
        linear_probe_accuracy(x, y, x, y)
        held = tracemalloc.get_traced_memory()[1] / (4 * x.numel())
    finally:
        tracemalloc.stop()
    assert held < 2.5
