"""Codecs stand beside a tokenizer at its rate, on images that do not depend on how they are read."""

import pytest
import torch

from _support.mutants import catches
from _support.stand_in_network import pictures
from vistok.metrics import Evaluation, open_images, rate_distortion_baselines
from vistok.metrics.harness import codec_baselines as module
from vistok.metrics.harness.codec_baselines import add_codecs

SUBJECT = "vistok.metrics.harness.codec_baselines"


def measured(images, training, rate):
    found = Evaluation()
    add_codecs(found, open_images(images), open_images(training), rate)
    return found


@catches(SUBJECT, '"PSNR (dB)", point.psnr', '"PSNR (dB)", point.ssim')
@catches(SUBJECT, "(images, IMAGES), (training, most)", "(training, IMAGES), (images, most)")
def test_the_numbers_are_those_of_the_codecs():
    images, training = pictures(6, 1), pictures(30, 1, seed=1)
    found = measured(images, training, 2.0).measures["baselines"]
    points = rate_distortion_baselines(images, training, bits_per_pixel=2.0)
    assert len(found) == 3 * len(points)
    for name, point in points.items():
        told = [found[f"{name}: {what}"] for what in ("PSNR (dB)", "SSIM", "bits per pixel")]
        assert told == pytest.approx([point.psnr, point.ssim, point.bits_per_pixel]), name


@catches(SUBJECT, "[:count]", "")
@catches(SUBJECT, "manual_seed(0)", "manual_seed(1)")
def test_many_images_are_a_fixed_random_sample(monkeypatch):
    monkeypatch.setattr(module, "IMAGES", 4)
    monkeypatch.setattr(module, "TRAINING", 20)
    images, training = pictures(9, 1), pictures(40, 1, seed=1)
    one, other = (torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) for x in (images, training))
    expected = measured(images[one[:4].sort().values], training[other[:20].sort().values], 2.0)
    assert measured(images, training, 2.0) == expected


@catches(SUBJECT, "min(TRAINING, max(2, ", "max(2, (")
@catches(SUBJECT, "(8 * math.prod(training.shape))", "math.prod(training.shape)")
@catches(SUBJECT, "max(2, TRAINING_BYTES", "max(0, TRAINING_BYTES")
@catches(SUBJECT, '        found.choices["training: fitted"] = len(fitted)\n', "")
def test_components_are_fitted_to_as_many_images_as_the_bytes_hold_and_their_number_is_told(monkeypatch):
    images, training = pictures(3, 1), pictures(40, 1, seed=1)
    for held, fitted in ((2**30, 20), (8 * 256 * 7 + 100, 7), (1, 2)):
        monkeypatch.setattr("vistok.metrics.harness.codec_baselines.TRAINING", 20)
        monkeypatch.setattr("vistok.metrics.harness.codec_baselines.TRAINING_BYTES", held)
        found = measured(images, training, 2.0)
        assert found.choices == {"training: fitted": fitted}
        order = torch.randperm(40, generator=torch.Generator().manual_seed(0))[:fitted].sort().values
        assert found.measures == measured(images, training[order], 2.0).measures


def test_images_below_the_window_leave_the_codecs_out():
    found = measured(pictures(3, 1, size=8), pictures(20, 1, size=8), 2.0)
    assert found.measures == {}
    assert set(found.left_out) == {"baselines: codecs"}


@catches("vistok.metrics.rate.baselines", "if bits < 1:", "if False:")
@catches("vistok.metrics.rate.principal_components", 'NotMeasurableError(f"train', 'ValueError(f"train')
@catches("vistok.metrics.rate.principal_components", 'NotMeasurableError("train', 'ValueError("train')
def test_what_components_cannot_be_fitted_to_leaves_the_codecs_out():
    images, training = pictures(3, 1), pictures(20, 1)
    for fitted, rate, why in (
        (training[:1], 2.0, "train_images must be at least 2, got 1"),
        (training[:1].expand(5, -1, -1, -1), 2.0, "train_images must not be all equal"),
        (training, 0.001, "bits_per_pixel must be at least one bit an image, got 0.001"),
    ):
        assert measured(images, fitted, rate).left_out == {"baselines: codecs": why}
