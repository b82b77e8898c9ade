"""The recognizer of real images."""

import time

import pytest
import torch

from _support.mutants import catches
from _support.strategies import seeded
from vistok.metrics import NotMeasurableError, fit_recognizer
from vistok.workbench.data import load_images

SUBJECT = "vistok.metrics.distribution.recognition"


@pytest.fixture(scope="module")
def digits():
    return load_images()


@pytest.fixture(scope="module")
def recognizer(digits):
    start = time.monotonic()
    fitted = fit_recognizer(digits.train.images, digits.train.labels)
    assert time.monotonic() - start < 60  # a second or two on a quiet machine
    return fitted


def test_it_recognises_the_held_out_digits(digits, recognizer):
    assert recognizer.accuracy(digits.validation.batch(range(500)), digits.validation.labels) >= 0.96


def test_accuracy_is_the_share_of_right_predictions(digits, recognizer):
    images, labels = digits.validation.images[:40], digits.validation.labels[:40]
    predictions = recognizer.predict(images)
    assert predictions.dtype == torch.int64
    assert recognizer.accuracy(images, predictions) == 1.0
    assert recognizer.accuracy(images, (predictions + 1) % 10) == 0.0
    assert recognizer.accuracy(images, labels) == (predictions == labels).double().mean().item()


@catches(SUBJECT, "images.split(_AT_A_TIME)", "images[:_AT_A_TIME].split(_AT_A_TIME)")
def test_predictions_do_not_depend_on_how_many_images_are_held_at_a_time(digits, monkeypatch):
    fitted = fit_recognizer(digits.train.images[::15], digits.train.labels[::15])
    whole = fitted.predict(digits.validation.images)
    monkeypatch.setattr(f"{SUBJECT}._AT_A_TIME", 130)
    assert torch.equal(fitted.predict(digits.validation.images), whole)


def test_8_bit_and_float_images_are_judged_alike(digits, recognizer):
    assert torch.equal(
        recognizer.predict(digits.validation.images), recognizer.predict(digits.validation.batch(range(500)))
    )


@catches(SUBJECT, "components = min(_COMPONENTS, *pixels.shape)", "components = 1")
def test_fitting_twice_gives_the_same_judge_and_fewer_images_a_worse_one(digits):
    some = torch.randperm(len(digits.train), generator=seeded(0))[:300]
    first, second = (fit_recognizer(digits.train.images[some], digits.train.labels[some]) for _ in range(2))
    images = digits.validation.images
    assert torch.equal(first.predict(images), second.predict(images))
    assert 0.6 < first.accuracy(images, digits.validation.labels) < 0.95


@catches(SUBJECT, "_COMPONENTS, *pixels.shape", "_COMPONENTS, pixels.shape[1]")
def test_two_images_are_enough():
    images = torch.stack([torch.full((3, 8, 8), value) for value in (-1.0, 1.0)])
    labels = torch.tensor([4, 1])
    assert torch.equal(fit_recognizer(images, labels).predict(images * 0.9), labels)


def test_bad_input_is_named(digits, recognizer):
    with pytest.raises(ValueError, match=r"\(N, 1, 32, 32\), got \(2, 3, 32, 32\)"):
        recognizer.predict(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match=r"labels must be \(2,\)"):
        recognizer.accuracy(torch.zeros(2, 1, 32, 32), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="not empty"):
        recognizer.accuracy(torch.zeros(0, 1, 32, 32), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\(N, C, H, W\) and \(N,\), got \(5, 1, 32, 32\) and \(4,\)"):
        fit_recognizer(digits.train.images[:5], torch.arange(4))
    with pytest.raises(NotMeasurableError, match="at least 2 classes, got 1"):
        fit_recognizer(digits.train.images[:5], torch.zeros(5, dtype=torch.int64))
