"""Measures that torch-fidelity, prdc and scikit-image have, too, on the same pixels and features."""

import numpy as np
import pytest

from _support.strategies import normal, uniform
from vistok.metrics import (
    density_coverage,
    frechet_distance,
    inception_score,
    kernel_distance,
    neighbour_measures,
    precision_recall,
    psnr,
    ssim,
)


@pytest.fixture(scope="module")
def features():
    """Two sets that overlap in part."""
    return normal(0, 300, 16), normal(1, 280, 16) * 1.2 + 0.3


def pixels(seed):
    return (uniform(seed, 4, 3, 32, 40) * 127.5 + 127.5).round().byte()


def test_the_frechet_distance_is_that_of_torch_fidelity(torchvision_imports, features):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    theirs = fid_statistics_to_metric(*(fid_features_to_statistics(side) for side in features), verbose=False)
    assert frechet_distance(*features) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)


def test_the_kernel_distance_is_that_of_torch_fidelity(torchvision_imports, features):
    from torch_fidelity.metric_kid import kernel_mmd

    x, y = (side[:280].double() for side in features)
    settings = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
    theirs = kernel_mmd(x.numpy(), y.numpy(), kid_kernel_poly_coef0=1, **settings)
    assert kernel_distance(x, y) == pytest.approx(float(theirs), rel=1e-6)


def test_the_inception_score_in_the_order_of_the_file_is_that_of_torch_fidelity(torchvision_imports):
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = normal(2, 400, 20) * 3
    theirs = isc_features_to_metric(logits, splits=10, shuffle=False)
    ours = inception_score(logits.double().softmax(1), splits=10, seed=None)
    assert ours.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert ours.deviation == pytest.approx(theirs["inception_score_std"], rel=1e-6)


def test_precision_and_recall_are_those_of_torch_fidelity(torchvision_imports, features):
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    real, samples = features
    theirs = calculate_precision_recall_full(samples, real, neighborhood=3)  # its first input is the generated one
    assert tuple(precision_recall(real, samples, k=3)) == pytest.approx(tuple(map(float, theirs[:2])), abs=1e-7)


@pytest.mark.parametrize("k", [3, 5])
def test_precision_recall_density_and_coverage_are_those_of_prdc(features, k):
    prdc = pytest.importorskip("prdc")
    real, samples = features
    theirs = prdc.compute_prdc(real.double().numpy(), samples.double().numpy(), nearest_k=k)
    ours = neighbour_measures(real, samples, k=[k])[k]._asdict()
    assert ours == pytest.approx({name: float(theirs[name]) for name in ours}, abs=1e-9)
    assert density_coverage(real, samples, k=k).density == pytest.approx(ours["density"])


@pytest.mark.parametrize("window", ["gaussian", "uniform"])
def test_psnr_and_ssim_are_those_of_scikit_image(window):
    metrics = pytest.importorskip("skimage.metrics")
    x, y = pixels(0), pixels(1)
    options = {"channel_axis": 0, "data_range": 255}
    if window == "gaussian":
        options |= {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    pairs = [(a.numpy().astype(np.float64), b.numpy().astype(np.float64)) for a, b in zip(x, y, strict=True)]
    # Its mean is over the positions where the window fits, as ours; its map shows it.
    theirs = [metrics.structural_similarity(a, b, **options) for a, b in pairs]
    assert ssim(x, y, window=window).tolist() == pytest.approx(theirs, abs=1e-9)
    ratios = [metrics.peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs]
    assert psnr(x, y).tolist() == pytest.approx(ratios, rel=1e-12)
