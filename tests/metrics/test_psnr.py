"""Peak signal-to-noise ratio."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given

from _support.mutants import catches
from _support.strategies import tensors, uniform
from vistok.metrics import psnr

SUBJECT = "vistok.metrics.reconstruction.psnr"


@catches(SUBJECT, ".mean(dim=(1, 2, 3))", ".mean().expand(len(pixels))")
@catches(SUBJECT, "255.0**2 / mean_squares", "2.0**2 / mean_squares")
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


@catches(SUBJECT, "to_uint8(images).double(), to_uint8(references).double()", "images.double(), references.double()")
def test_pixels_are_rounded_to_8_bits_first():
    x = torch.zeros(1, 1, 12, 12)
    assert torch.isinf(psnr(x, x + 1e-4)).all()


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
