"""Peak signal-to-noise ratio."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given

from _support.mutants import catches
from _support.strategies import tensors, uniform
from vistok.metrics import PeakSignalNoiseRatio, PooledPeakSignalNoiseRatio, pooled_psnr, psnr

SUBJECT = "vistok.metrics.reconstruction.psnr"


@catches(SUBJECT, "255.0**2 / mean_squared_error(", "2.0**2 / mean_squared_error(")
def test_by_hand():
    """Off by 51 of 255 everywhere: 20 log10(5) = 13.979 dB; off by 255: 0 dB; equal: infinite."""
    images = torch.tensor([0, 0, 7], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 4, 4)
    references = torch.tensor([51, 255, 7], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 4, 4)
    values = psnr(images, references)
    assert torch.allclose(values, torch.tensor([20 * math.log10(5), 0.0, math.inf], dtype=torch.float64))


@catches(SUBJECT, "10.0 * torch.log10", "20.0 * torch.log10")
def test_each_image_follows_the_formula():
    x, y = uniform(0, 5, 3, 6, 7), uniform(1, 5, 3, 6, 7)
    values = psnr(x, y)
    assert values.dtype == torch.float64
    for one, other, value in zip(x, y, values, strict=True):
        p, q = (np.clip(np.rint((side.numpy().astype(np.float64) + 1) * 127.5), 0, 255) for side in (one, other))
        assert abs(10 * np.log10(255**2 / np.mean((p - q) ** 2)) - value) < 0.02


def test_pixels_are_rounded_to_8_bits_first():
    x = torch.zeros(1, 1, 12, 12)
    assert torch.isinf(psnr(x, x + 1e-4)).all()


@catches(SUBJECT, "math.log10(255.0**2 / error)", "math.log10(255.0 / error)")
@catches(SUBJECT, "if error else math.inf", "if error else 0.0")
def test_the_two_definitions_by_hand():
    """Errors of 1 and 9 of 255: 20 log10(255) - 0 and - 20 log10(9); pooled, the mean square is (1 + 81) / 2."""
    black = torch.zeros(2, 1, 3, 3, dtype=torch.uint8)
    images = black + torch.tensor([1, 9], dtype=torch.uint8).view(2, 1, 1, 1)
    of_each, pooled = PeakSignalNoiseRatio(), PooledPeakSignalNoiseRatio()
    for metric in (of_each, pooled):
        for image in range(2):
            metric.update(images[image, None], black[image, None])
    assert abs(of_each.compute() - (20 * math.log10(255) - 10 * math.log10(9))) < 1e-12
    assert abs(pooled.compute() - (20 * math.log10(255) - 10 * math.log10(41))) < 1e-12
    assert pooled_psnr(images, black) == pooled.compute()
    assert pooled_psnr(black, black) == math.inf


@given(tensors((4, 1, 3, 3), limit=1.0), tensors((4, 1, 3, 3), limit=1.0))
def test_pooling_never_gives_more(x, y):
    metric = PeakSignalNoiseRatio()
    metric.update(x, y)
    assert pooled_psnr(x, y) <= metric.compute() + 1e-9


@catches(SUBJECT, "self.add(psnr(images, references))", "self.add(psnr(images, references).mean()[None])")
def test_the_stream_is_the_mean_of_the_images():
    x, y = uniform(0, 5, 3, 6, 7), uniform(1, 5, 3, 6, 7)
    metric = PeakSignalNoiseRatio()
    for part in ([0], [1, 2, 3, 4]):
        metric.update(x[part], y[part])
    assert abs(metric.compute() - psnr(x, y).mean().item()) < 1e-12


@given(tensors((2, 1, 12, 12), limit=1.0), tensors((2, 1, 12, 12), limit=1.0))
def test_it_is_symmetric_not_negative_and_infinite_for_equal_images(x, y):
    assert torch.equal(psnr(x, y), psnr(y, x))
    assert (psnr(x, y) >= 0).all()
    assert torch.isinf(psnr(x, x)).all()


@pytest.mark.parametrize(
    ("images", "references", "words"),
    [
        (torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 1), "same (B, C, H, W)"),
        (torch.zeros(1, 4, 4), torch.zeros(1, 4, 4), "same (B, C, H, W)"),
        (torch.full((1, 1, 4, 4), 255.0), torch.zeros(1, 1, 4, 4), "[-1, 1]"),
        (torch.full((1, 1, 4, 4), math.nan), torch.zeros(1, 1, 4, 4), "[-1, 1]"),
    ],
)
def test_bad_input_is_named_in_one_line(images, references, words):
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as caught:
        psnr(images, references)
    assert words in str(caught.value)
