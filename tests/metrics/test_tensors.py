"""Arrays that are no tensors are refused in one line that says what they are."""

import numpy as np
import pytest
import torch

from _support.mutants import catches
from vistok.metrics import (
    FeatureStatistics,
    GaussianStatistics,
    density_coverage,
    frechet_distance,
    gaussian_factor,
    kernel_distance,
    neighbour_measures,
    psnr,
    relative_diversity,
    ssim,
)
from vistok.metrics._tensors import check_tensor

ROOT = "vistok.metrics"
SUBJECT = "vistok.metrics._tensors"


@catches(SUBJECT, '.removeprefix("builtins.")', "")
@catches(SUBJECT, "if not isinstance(value, Tensor):", "if isinstance(value, list):")
def test_the_line_names_what_was_expected_and_what_came():
    check_tensor("features", torch.zeros(1))
    for value, got in ((np.zeros(1), "numpy.ndarray"), ([1.0], "list"), (None, "NoneType")):
        with pytest.raises(TypeError, match=rf"^features: expected a torch tensor, got {got}$"):
            check_tensor("features", value)


@catches(f"{ROOT}.distribution.frechet", "check_tensor(name, side)", "pass")
@catches(f"{ROOT}.distribution.frechet", "check_tensor(name, values)", "pass")
@catches(f"{ROOT}.distribution.kernel", "check_tensor(name, side)", "pass")
@catches(f"{ROOT}.distribution._vectors", "check_tensor(name, side)", "pass")
@catches(f"{ROOT}.reconstruction._pixel_pairs", "check_tensor(name, side)", "pass")
def test_numpy_arrays_are_told_by_their_name():
    x, images = torch.zeros(6, 2), torch.zeros(1, 1, 16, 16)
    array, pixels = x.numpy(), images.numpy()
    labels = torch.zeros(6, dtype=torch.int64)
    for name, measure in (
        ("first", lambda: frechet_distance(array, x)),
        ("second", lambda: frechet_distance(x, [[0.0]])),
        ("features: mean and covariance", lambda: gaussian_factor(GaussianStatistics(array[0], array.T @ array))),
        ("features", lambda: FeatureStatistics(2).update(array)),
        ("second", lambda: kernel_distance(x, array)),
        ("real", lambda: density_coverage(array, x)),
        ("samples", lambda: neighbour_measures(x, array, k=[3])),
        ("real", lambda: neighbour_measures(array, x, k=[3])),
        ("samples", lambda: relative_diversity(x, labels, array, labels)),
        ("images", lambda: psnr(pixels, images)),
        ("references", lambda: ssim(images, pixels)),
    ):
        with pytest.raises(TypeError, match=rf"^{name}: expected a torch tensor, got (numpy.ndarray|list)$"):
            measure()
