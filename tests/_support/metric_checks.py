"""Checks of the metrics, each a sentence; they take the package so that planted bugs can be put before them."""

import math
from types import ModuleType

import numpy as np
import scipy.linalg
import torch

from _support.strategies import normal


def pictures(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def reference_frechet(a: np.ndarray, b: np.ndarray) -> float:
    """The published formula with a matrix square root, as evaluation scripts write it."""
    covariances = [np.cov(side, rowvar=False) for side in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = a.mean(0) - b.mean(0)
    return float(shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root))


# psnr


def psnr_by_hand(m: ModuleType) -> None:
    """Off by 51 of 255 everywhere: 20 log10(5) = 13.979 dB; off by 255: 0 dB; equal: infinite."""
    images = torch.tensor([0, 0, 7], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 4, 4)
    references = torch.tensor([51, 255, 7], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 4, 4)
    values = m.psnr(images, references)
    assert torch.allclose(values, torch.tensor([20 * math.log10(5), 0.0, math.inf], dtype=torch.float64))


def psnr_follows_its_formula_image_by_image(m: ModuleType) -> None:
    x, y = pictures(0, 5, 3, 6, 7), pictures(1, 5, 3, 6, 7)
    values = m.psnr(x, y)
    assert values.dtype == torch.float64
    for one, other, value in zip(x, y, values, strict=True):
        p, q = (np.clip(np.rint((side.numpy().astype(np.float64) + 1) * 127.5), 0, 255) for side in (one, other))
        assert abs(10 * np.log10(255**2 / np.mean((p - q) ** 2)) - value) < 0.02


# ssim


def ssim_agrees_with_an_independent_implementation(m: ModuleType) -> None:
    """Against explicit windows, position by position."""
    x, y = pictures(0, 2, 2, 13, 12), pictures(1, 2, 2, 13, 12)
    x, y = (((side + 1) * 127.5).round() for side in (x, (x * 0.7 + y * 0.3)))
    offsets = np.arange(11) - 5.0
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    for image, reference, value in zip(x.numpy(), y.numpy(), m.ssim(x.byte(), y.byte()), strict=True):
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


def ssim_of_two_flat_images_by_hand(m: ModuleType) -> None:
    """Flat 0 against flat 255: only the constants remain, c1 / (255^2 + c1) = 0.0001 / 1.0001."""
    black = torch.zeros(1, 1, 12, 12, dtype=torch.uint8)
    assert abs(m.ssim(black, black + 255).item() - 0.0001 / 1.0001) < 1e-9


# frechet


def frechet_equals_the_published_formula(m: ModuleType) -> None:
    for seed, (n, k, dim) in enumerate([(60, 50, 5), (40, 80, 12), (9, 30, 9)]):
        a, b = normal(seed, n, dim) @ normal(seed + 10, dim, dim), normal(seed + 20, k, dim) * 2 + 1
        wanted = reference_frechet(a.double().numpy(), b.double().numpy())
        assert abs(m.frechet_distance(a, b) - wanted) < 1e-6 * max(1.0, wanted)


def frechet_is_exact_with_fewer_vectors_than_features(m: ModuleType) -> None:
    """The eigenvalues of the product of the covariances, which are what the trace of its root needs."""
    a, b = normal(0, 6, 20), normal(1, 9, 20) + 0.5
    covariances = [np.cov(side.double().numpy(), rowvar=False) for side in (a, b)]
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(min=0)
    shift = (a.double().mean(0) - b.double().mean(0)).square().sum().item()
    wanted = shift + np.trace(covariances[0] + covariances[1]) - 2 * np.sqrt(eigenvalues).sum()
    assert abs(m.frechet_distance(a, b) - wanted) < 1e-5


def frechet_of_two_lines_by_hand(m: ModuleType) -> None:
    """One feature, means 1 and 4, variances 2 and 8: 9 + 2 + 8 - 2 sqrt(16) = 11."""
    assert abs(m.frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[2.0], [6.0]])) - 11.0) < 1e-9


def streamed_statistics_equal_the_whole(m: ModuleType) -> None:
    features = normal(0, 50, 6) * 3 + 100
    streamed, first, second = (m.FeatureStatistics(6) for _ in range(3))
    for part in features.split([1, 20, 0, 29]):
        streamed.update(part)
    first.update(features[:17])
    second.update(features[17:])
    first.merge(second)
    for statistics in (streamed, first):
        assert statistics.count == 50
        assert np.allclose(statistics.mean, features.double().mean(0), atol=1e-9)
        assert np.allclose(statistics.covariance, np.cov(features.double().numpy(), rowvar=False), atol=1e-9)
    other = normal(1, 40, 6)
    assert abs(m.frechet_distance(streamed, other) - m.frechet_distance(features, other)) < 1e-6


# cosines


def cosine_moments_are_those_of_all_pairs(m: ModuleType) -> None:
    vectors = normal(0, 17, 4) + 0.3
    units = vectors.double() / vectors.double().norm(dim=1, keepdim=True)
    cosines = (units @ units.T)[~torch.eye(17, dtype=torch.bool)]
    moments = m.cosine_moments(vectors)
    assert abs(moments.mean - cosines.mean()) < 1e-12
    assert abs(moments.rms - cosines.square().mean().sqrt()) < 1e-12


def no_vectors_beat_the_welch_bound_and_some_reach_it(m: ModuleType) -> None:
    for seed in range(5):
        assert m.cosine_moments(normal(seed, 20, 3)).rms >= m.welch_bound(20, 3)
    frame = torch.cat([torch.eye(3), torch.eye(3)[[1, 2, 0]], -torch.eye(3)])
    assert abs(m.cosine_moments(frame).rms - m.welch_bound(9, 3)) < 1e-12
    assert m.welch_bound(3, 3) == 0.0


# uniformity


def evenness_by_hand(m: ModuleType) -> None:
    """Densities 1, 1, 6: mean 8/3, population variance 50/9; shares 1/8, 1/8, 3/4; Gini (-2 + 0 + 12) / 24."""
    values = m.evenness(torch.tensor([6.0, 1.0, 1.0]))
    assert abs(values.cv - math.sqrt(50) / 3 / (8 / 3)) < 1e-12
    entropy = -(2 * 0.125 * math.log2(0.125) + 0.75 * math.log2(0.75)) / math.log2(3)
    assert abs(values.normalized_entropy - entropy) < 1e-8
    assert abs(values.gini - 10 / 24) < 1e-12


def wang_isola_is_the_log_mean_potential_of_all_pairs(m: ModuleType) -> None:
    vectors = normal(0, 13, 4)
    units = vectors.double() / vectors.double().norm(dim=1, keepdim=True)
    potentials = [
        math.exp(-3.0 * float((units[i] - units[j]).square().sum())) for i in range(13) for j in range(13) if i != j
    ]
    for block_size in (1, 5, 100):
        value = m.wang_isola_uniformity(vectors, temperature=3.0, block_size=block_size)
        assert abs(value - math.log(np.mean(potentials))) < 1e-9


def one_position_is_drawn_from_every_image(m: ModuleType) -> None:
    latents = torch.arange(50 * 2 * 6, dtype=torch.float32).view(50, 2, 2, 3)
    drawn = m.one_position_per_image(latents, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == (50, 2)
    positions = drawn - latents.flatten(2)[:, :, 0]
    assert torch.equal(positions[:, 0], positions[:, 1])
    assert sorted(positions[:, 0].unique().tolist()) == [0, 1, 2, 3, 4, 5]


CHECKS = [
    psnr_by_hand,
    psnr_follows_its_formula_image_by_image,
    ssim_agrees_with_an_independent_implementation,
    ssim_of_two_flat_images_by_hand,
    frechet_equals_the_published_formula,
    frechet_is_exact_with_fewer_vectors_than_features,
    frechet_of_two_lines_by_hand,
    streamed_statistics_equal_the_whole,
    cosine_moments_are_those_of_all_pairs,
    no_vectors_beat_the_welch_bound_and_some_reach_it,
    evenness_by_hand,
    wang_isola_is_the_log_mean_potential_of_all_pairs,
    one_position_is_drawn_from_every_image,
]
