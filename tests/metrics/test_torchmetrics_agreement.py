"""Figures that torchmetrics has, too, on the same pixels and features."""

import pytest
import torch

from _support.strategies import normal, uniform
from vistok.metrics import (
    MeanAbsoluteError,
    MeanSquaredError,
    frechet_distance,
    kernel_distance,
    pooled_psnr,
    psnr,
)

pytestmark = pytest.mark.slow  # the import alone takes seconds; the re-derivations are as strict


def pixels(seed):
    return (uniform(seed, 4, 3, 20, 24) * 127.5 + 127.5).round().byte()


def test_errors_of_pixels(torchvision_imports):
    from torchmetrics.functional.image import peak_signal_noise_ratio
    from torchmetrics.functional.regression import mean_absolute_error, mean_squared_error

    x, y = pixels(0), pixels(1)
    a, b = x.double(), y.double()
    theirs = peak_signal_noise_ratio(a, b, data_range=255.0, reduction="none", dim=(1, 2, 3))
    assert torch.allclose(psnr(x, y), theirs, atol=1e-9)
    assert abs(pooled_psnr(x, y) - float(peak_signal_noise_ratio(a, b, data_range=255.0))) < 1e-6
    for metric, function in ((MeanSquaredError(), mean_squared_error), (MeanAbsoluteError(), mean_absolute_error)):
        metric.update(x, y)
        assert abs(metric.compute() - float(function(a.flatten(), b.flatten()))) < 1e-6


def test_distances_of_features(torchvision_imports):
    from torchmetrics.image.fid import _compute_fid
    from torchmetrics.image.kid import poly_mmd

    x, y = normal(0, 60, 5).double(), normal(1, 40, 5).double() * 1.5 + 0.3
    theirs = _compute_fid(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())
    assert abs(frechet_distance(x, y) - float(theirs)) < 1e-8
    same = y[:30]
    assert abs(kernel_distance(x[:30], same) - float(poly_mmd(x[:30], same))) < 1e-9
