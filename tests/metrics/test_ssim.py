"""Structural similarity."""

import numpy as np
import pytest
import torch
from hypothesis import given

from _support.mutants import catches
from _support.strategies import tensors, uniform
from vistok.metrics import NotMeasurableError, ssim

SUBJECT = "vistok.metrics.reconstruction.ssim"


@catches(SUBJECT, "_SIGMA = 1.5", "_SIGMA = 1.0")
@catches(SUBJECT, "(0.03 * 255.0)", "(0.03 * 1.0)")
@catches(SUBJECT, "- mean_x * mean_y", "")
def test_it_agrees_with_explicit_windows_position_by_position():
    x, y = uniform(0, 2, 2, 13, 12), uniform(1, 2, 2, 13, 12)
    x, y = (((side + 1) * 127.5).round() for side in (x, (x * 0.7 + y * 0.3)))
    offsets = np.arange(11) - 5.0
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    for image, reference, value in zip(x.numpy(), y.numpy(), ssim(x.byte(), y.byte()), strict=True):
        terms = []
        for p, q in zip(image.astype(np.float64), reference.astype(np.float64), strict=True):
            for top in range(3):
                for left in range(2):
                    a, b = (side[top : top + 11, left : left + 11] for side in (p, q))
                    mean_a, mean_b = (window * a).sum(), (window * b).sum()
                    var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
                    covariance = (window * (a - mean_a) * (b - mean_b)).sum()
                    c1, c2 = 2.55**2, 7.65**2
                    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
                    terms.append(luminance * (2 * covariance + c2) / (var_a + var_b + c2))
        assert abs(np.mean(terms) - float(value)) < 1e-9


@catches(SUBJECT, "(0.01 * 255.0)", "(0.01 * 510.0)")
def test_two_flat_images_by_hand():
    """Flat 0 against flat 255: only the constants remain, c1 / (255^2 + c1) = 0.0001 / 1.0001."""
    black = torch.zeros(1, 1, 12, 12, dtype=torch.uint8)
    assert abs(ssim(black, black + 255).item() - 0.0001 / 1.0001) < 1e-9


@given(tensors((2, 1, 12, 12), limit=1.0), tensors((2, 1, 12, 12), limit=1.0))
def test_it_is_symmetric_bounded_and_1_for_equal_images(x, y):
    similarity = ssim(x, y)
    assert torch.allclose(similarity, ssim(y, x), atol=1e-12)
    assert similarity.abs().max() <= 1 + 1e-9
    assert torch.allclose(ssim(x, x), torch.ones(2, dtype=torch.float64), atol=1e-9)


@pytest.mark.slow  # its import alone takes seconds; the check above it is as strict
def test_it_agrees_with_torchmetrics_where_the_window_fits(torchvision_imports):
    from torchmetrics.functional.image import structural_similarity_index_measure

    x, y = uniform(0, 3, 3, 24, 20), uniform(1, 3, 3, 24, 20)
    x, y = (((side + 1) * 127.5).round().byte() for side in (x, 0.8 * x + 0.2 * y))
    _, full = structural_similarity_index_measure(x.double(), y.double(), data_range=255.0, return_full_image=True)
    assert torch.allclose(ssim(x, y), full[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)), atol=1e-9)


def test_images_smaller_than_the_window_are_named_in_one_line():
    with pytest.raises(NotMeasurableError, match=r"\A[^\n]*at least 11[^\n]*\Z"):
        ssim(torch.zeros(1, 1, 10, 12), torch.zeros(1, 1, 10, 12))
