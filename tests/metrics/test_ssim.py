"""Structural similarity."""

import numpy as np
import pytest
import torch
from hypothesis import given
from scipy.ndimage import uniform_filter

from _support.mutants import catches
from _support.strategies import tensors, uniform
from vistok.metrics import NotMeasurableError, StructuralSimilarity, ssim
from vistok.metrics.reconstruction import _pixel_pairs

SUBJECT = "vistok.metrics.reconstruction.ssim"


@catches(SUBJECT, "_SIGMA = 1.5", "_SIGMA = 1.0")
@catches(SUBJECT, "(0.03 * 255.0)", "(0.03 * 1.0)")
@catches(SUBJECT, "(local_mean(x * y) - mean_x * mean_y)", "local_mean(x * y)")
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


@catches(SUBJECT, "49 / 48", "1.0")
@catches(SUBJECT, "torch.full((7,), 1 / 7", "torch.full((9,), 1 / 9")
def test_the_uniform_window_is_that_of_scikit_image():
    """Its `structural_similarity` with `channel_axis=0, data_range=255`: a box filter, borders of 3 cut off."""
    x, y = uniform(0, 2, 3, 13, 12), uniform(1, 2, 3, 13, 12)
    x, y = (((side + 1) * 127.5).round() for side in (x, (x * 0.7 + y * 0.3)))
    for image, reference, value in zip(x, y, ssim(x.byte(), y.byte(), window="uniform"), strict=True):
        maps = []
        for p, q in zip(image.double().numpy(), reference.double().numpy(), strict=True):
            ux, uy, uxx, uyy, uxy = (uniform_filter(side, size=7) for side in (p, q, p * p, q * q, p * q))
            vx, vy, vxy = ((second - first) * 49 / 48 for second, first in ((uxx, ux**2), (uyy, uy**2), (uxy, ux * uy)))
            c1, c2 = 2.55**2, 7.65**2
            similarity = (2 * ux * uy + c1) * (2 * vxy + c2) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))
            maps.append(similarity[3:-3, 3:-3].mean())
        assert abs(np.mean(maps) - float(value)) < 1e-9


def test_the_two_windows_give_other_numbers():
    x, y = uniform(0, 1, 1, 20, 20), uniform(1, 1, 1, 20, 20)
    assert abs(ssim(x, y) - ssim(x, y, window="uniform")) > 1e-3
    with pytest.raises(ValueError, match="window must be 'gaussian' or 'uniform', got 'box'"):
        StructuralSimilarity("box")
    with pytest.raises(NotMeasurableError, match="at least 7"):
        ssim(x[..., :6], y[..., :6], window="uniform")


@catches(SUBJECT, "ssim(images, references, window=self.window)", "ssim(images, references)")
def test_the_stream_is_the_mean_of_the_images():
    x, y = uniform(0, 5, 3, 12, 14), uniform(1, 5, 3, 12, 14)
    metric = StructuralSimilarity("uniform")
    for part in ([0], [1, 2, 3, 4]):
        metric.update(x[part], y[part])
    assert abs(metric.compute() - ssim(x, y, window="uniform").mean().item()) < 1e-12


@catches("vistok.metrics.reconstruction._pixel_pairs", "range(0, max(1, len(images)), size)", "range(0, 1, size)")
def test_many_images_are_taken_in_blocks(monkeypatch):
    x, y = uniform(0, 9, 3, 12, 14), uniform(1, 9, 3, 12, 14)
    whole = ssim(x, y)
    monkeypatch.setattr(_pixel_pairs, "_BLOCK", 1200)
    assert torch.allclose(ssim(x, y), whole, atol=1e-12)


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
