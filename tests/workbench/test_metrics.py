"""Every sentence of the metrics' docstrings, and planted bugs that the checks must notice."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import vistok.workbench.metrics as metrics
from _support import metric_checks as checks
from _support.mutants import mutated
from _support.strategies import normal, seeds, tensors
from vistok.workbench.backbones.feature_backbone import FeatureBackbone
from vistok.workbench.data import ImageSet

PACKAGE = "vistok.workbench.metrics"
MUTANTS = [
    ("psnr", ".mean(dim=(1, 2, 3))", ".mean().expand(len(pixels))", checks.psnr_by_hand),
    ("psnr", "255.0**2 / mean_squares", "2.0**2 / mean_squares", checks.psnr_by_hand),
    ("psnr", "10.0 * torch.log10", "20.0 * torch.log10", checks.psnr_follows_its_formula_image_by_image),
    ("ssim", "_SIGMA = 1.5", "_SIGMA = 1.0", checks.ssim_agrees_with_an_independent_implementation),
    ("ssim", "(0.01 * 255.0)", "(0.01 * 510.0)", checks.ssim_of_two_flat_images_by_hand),
    ("ssim", "(0.03 * 255.0)", "(0.03 * 1.0)", checks.ssim_agrees_with_an_independent_implementation),
    ("ssim", "- mean_x * mean_y", "", checks.ssim_agrees_with_an_independent_implementation),
    ("frechet", "- 2.0 * cross", "- cross", checks.frechet_equals_the_published_formula),
    ("frechet", "(len(vectors) - 1) ** 0.5", "len(vectors) ** 0.5", checks.frechet_of_two_lines_by_hand),
    ("frechet", "(mean_1 - mean_2).square()", "(mean_1 - mean_2).abs()", checks.frechet_of_two_lines_by_hand),
    (
        "frechet",
        "factor_1 @ factor_2.T",
        "factor_1.T @ factor_1",
        checks.frechet_is_exact_with_fewer_vectors_than_features,
    ),
    (
        "frechet",
        "self._scatter / (self.count - 1)",
        "self._scatter / self.count",
        checks.streamed_statistics_equal_the_whole,
    ),
    ("frechet", " * (self.count * other.count / total)", "", checks.streamed_statistics_equal_the_whole),
    (
        "cosine",
        "pairs = len(units) * (len(units) - 1)",
        "pairs = len(units) ** 2",
        checks.cosine_moments_are_those_of_all_pairs,
    ),
    (
        "cosine",
        "(units.T @ units).square().sum() - len(units)",
        "(units.T @ units).square().sum()",
        checks.cosine_moments_are_those_of_all_pairs,
    ),
    (
        "cosine",
        "(num_vectors / dim - 1)",
        "(num_vectors / dim)",
        checks.no_vectors_beat_the_welch_bound_and_some_reach_it,
    ),
    ("uniformity", "correction=0) / rho.mean()", "correction=1) / rho.mean()", checks.evenness_by_hand),
    ("uniformity", "/ np.log2(n)", "", checks.evenness_by_hand),
    ("uniformity", "2 * ranks - n - 1", "2 * ranks - n", checks.evenness_by_hand),
    ("uniformity", "rho.sort().values", "rho", checks.evenness_by_hand),
    ("uniformity", "-2.0 * temperature", "-temperature", checks.wang_isola_is_the_log_mean_potential_of_all_pairs),
    ("uniformity", "* 2 / (len(units)", "/ (len(units)", checks.wang_isola_is_the_log_mean_potential_of_all_pairs),
    (
        "uniformity",
        "torch.randint(flat.shape[2], (len(flat),)",
        "torch.randint(flat.shape[1], (len(flat),)",
        checks.one_position_is_drawn_from_every_image,
    ),
]


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_that(check):
    check(metrics)


@pytest.mark.parametrize(("module", "old", "new", "check"), MUTANTS, ids=lambda value: getattr(value, "__name__", None))
def test_planted_bug_is_noticed(module, old, new, check):
    with mutated(PACKAGE, module, old, new) as broken:
        with pytest.raises((AssertionError, IndexError, RuntimeError)):
            check(broken)


@pytest.fixture(scope="module")
def backbone():
    return FeatureBackbone()


# properties


@given(tensors((2, 1, 12, 12), limit=1.0), tensors((2, 1, 12, 12), limit=1.0))
def test_pixel_metrics_are_symmetric_bounded_and_perfect_for_equal_images(x, y):
    assert torch.equal(metrics.psnr(x, y), metrics.psnr(y, x))
    assert (metrics.psnr(x, y) >= 0).all()
    assert torch.isinf(metrics.psnr(x, x)).all()
    similarity = metrics.ssim(x, y)
    assert torch.allclose(similarity, metrics.ssim(y, x), atol=1e-12)
    assert similarity.abs().max() <= 1 + 1e-9
    assert torch.allclose(metrics.ssim(x, x), torch.ones(2, dtype=torch.float64), atol=1e-9)


@pytest.mark.slow  # its import alone takes seconds; the check above it is as strict
def test_ssim_agrees_with_torchmetrics_where_the_window_fits(torchvision_imports):
    from torchmetrics.functional.image import structural_similarity_index_measure

    x, y = checks.pictures(0, 3, 3, 24, 20), checks.pictures(1, 3, 3, 24, 20)
    x, y = (((side + 1) * 127.5).round().byte() for side in (x, 0.8 * x + 0.2 * y))
    _, full = structural_similarity_index_measure(x.double(), y.double(), data_range=255.0, return_full_image=True)
    assert torch.allclose(metrics.ssim(x, y), full[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)), atol=1e-9)


def test_pixel_metrics_round_to_8_bits_first():
    x = torch.zeros(1, 1, 12, 12)
    assert torch.isinf(metrics.psnr(x, x + 1e-4)).all()


@given(seeds, st.integers(2, 12), st.integers(2, 12), st.integers(1, 8))
def test_frechet_is_a_symmetric_distance_whatever_the_counts(seed, n, k, dim):
    a, b = normal(seed, n, dim), normal(seed + 1, k, dim)
    value = metrics.frechet_distance(a, b)
    assert value >= 0
    assert value == pytest.approx(metrics.frechet_distance(b, a), abs=1e-9)
    assert metrics.frechet_distance(a, a) < 1e-6
    rotation = torch.linalg.qr(normal(seed + 2, dim, dim).double()).Q
    moved = [side.double() @ rotation + 5 for side in (a, b)]
    assert metrics.frechet_distance(*moved) == pytest.approx(value, abs=1e-6)
    statistics = []
    for side in (a, b):
        statistics.append(metrics.FeatureStatistics(dim))
        statistics[-1].update(side)
    assert metrics.frechet_distance(*statistics) == pytest.approx(value, abs=1e-5)


@given(tensors((6, 3)), st.floats(0.1, 10))
def test_measures_of_direction_ignore_order_and_scale(vectors, scale):
    assume(bool((vectors.norm(dim=1) > 1e-3).all()))
    moved = vectors.flip(0) * scale
    assert metrics.wang_isola_uniformity(moved) == pytest.approx(metrics.wang_isola_uniformity(vectors), abs=1e-5)
    assert -8.0 - 1e-9 <= metrics.wang_isola_uniformity(vectors) <= 1e-9
    moments = metrics.cosine_moments(vectors)
    assert metrics.cosine_moments(moved) == pytest.approx(moments, abs=1e-6)
    assert abs(moments.mean) <= moments.rms + 1e-9
    assert moments.rms <= 1 + 1e-9


@given(tensors((9,)).map(torch.abs), st.floats(0.1, 10))
def test_evenness_stays_in_range_and_ignores_order_and_scale(densities, scale):
    assume(float(densities.sum()) > 1e-3)
    values = metrics.evenness(densities)
    assert 0 <= values.cv <= math.sqrt(8) + 1e-9
    assert -1e-8 <= values.normalized_entropy <= 1 + 1e-9
    assert -1e-12 <= values.gini <= 1 - 1 / 9 + 1e-12
    assert metrics.evenness(densities.flip(0) * scale) == pytest.approx(values, abs=1e-6)


# density uniformity


def test_repeated_latents_are_less_even_than_spread_ones_and_the_seed_decides():
    spread = torch.rand(45, 3, generator=torch.Generator().manual_seed(0))
    repeated = spread.clone()
    repeated[:15] = repeated[0]
    even, uneven = metrics.density_uniformity(spread), metrics.density_uniformity(repeated)
    assert even == metrics.density_uniformity(spread)
    assert even.cv < uneven.cv
    assert even.gini < uneven.gini
    assert even.normalized_entropy > uneven.normalized_entropy


def test_density_uniformity_brings_channels_to_one_scale_and_ignores_constant_ones():
    vectors = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    scaled = torch.cat([vectors * torch.tensor([1.0, 8.0, 0.5]), torch.ones(40, 1)], dim=1)
    assert metrics.density_uniformity(scaled).cv == pytest.approx(metrics.density_uniformity(vectors).cv, rel=0.02)


# features


def test_perceptual_distance_is_symmetric_zero_for_equal_images_and_grows_with_noise(backbone):
    x, noise = checks.pictures(0, 5, 1, 32, 32), normal(1, 5, 1, 32, 32)
    near, far = (metrics.perceptual_distance(backbone, x, x + level * noise) for level in (0.02, 0.5))
    assert (near < far).all()
    assert ((far > 0) & (far <= 4)).all()
    assert torch.allclose(far, metrics.perceptual_distance(backbone, x + 0.5 * noise, x), atol=1e-6)
    assert metrics.perceptual_distance(backbone, x, x).tolist() == [0.0] * 5
    halves = metrics.perceptual_distance(backbone, x, x + 0.5 * noise, batch_size=2)
    assert torch.allclose(far, halves, atol=1e-5)


def test_perceptual_distance_follows_its_formula(backbone):
    x, y = checks.pictures(0, 2, 3, 32, 32), checks.pictures(1, 2, 3, 32, 32)
    total = torch.zeros(2, dtype=torch.float64)
    for a, b in zip(backbone.stages(x), backbone.stages(y), strict=True):
        a, b = (side.double() / side.double().norm(dim=1, keepdim=True) for side in (a, b))
        total += (a - b).square().sum(1).mean((1, 2)) / 5
    assert torch.allclose(metrics.perceptual_distance(backbone, x, y).double(), total, atol=1e-5)


def test_features_of_a_data_set_and_of_its_pixels_agree_for_every_batch_size(backbone):
    pixels = (checks.pictures(0, 5, 1, 32, 32) * 127 + 127).byte()
    data = ImageSet(pixels, torch.zeros(5, dtype=torch.int64), ("all",), "five")
    whole = metrics.pooled_features(backbone, data, image_size=64)
    assert whole.shape == (5, backbone.dim)
    for source, size in ((pixels, 2), (data.batch(range(5)), 3)):
        assert torch.allclose(
            whole, metrics.pooled_features(backbone, source, image_size=64, batch_size=size), atol=1e-4
        )


# errors, one line each


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.psnr(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 5)), "same (B, C, H, W)"),
        (lambda: metrics.psnr(torch.full((1, 1, 4, 4), 255.0), torch.zeros(1, 1, 4, 4)), "[-1, 1]"),
        (lambda: metrics.psnr(torch.full((1, 1, 4, 4), math.nan), torch.zeros(1, 1, 4, 4)), "[-1, 1]"),
        (lambda: metrics.ssim(torch.zeros(1, 1, 10, 12), torch.zeros(1, 1, 10, 12)), "at least 11"),
        (lambda: metrics.frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3)), "at least 2"),
        (lambda: metrics.frechet_distance(torch.zeros(5, 3), torch.zeros(5, 4)), "3 and 4"),
        (lambda: metrics.frechet_distance(torch.full((5, 3), math.inf), torch.zeros(5, 3)), "finite"),
        (lambda: metrics.FeatureStatistics(3).covariance, "at least 2"),
        (lambda: metrics.FeatureStatistics(3).update(torch.zeros(2, 4)), "(N, 3)"),
        (lambda: metrics.cosine_moments(torch.zeros(3, 2)), "zero"),
        (lambda: metrics.cosine_moments(torch.ones(1, 2)), "n >= 2"),
        (lambda: metrics.welch_bound(1, 8), "num_vectors"),
        (lambda: metrics.evenness(torch.ones(1)), "n >= 2"),
        (lambda: metrics.evenness(torch.tensor([1.0, -1.0])), "not negative"),
        (lambda: metrics.wang_isola_uniformity(torch.eye(2), temperature=0.0), "temperature"),
        (lambda: metrics.density_uniformity(torch.zeros(30, 2)), "n > 30"),
        (lambda: metrics.density_uniformity(torch.ones(40, 2)), "not all equal"),
        (lambda: metrics.one_position_per_image(torch.ones(40, 2), generator=torch.Generator()), "(N, C, H, W)"),
    ],
)
def test_bad_input_is_named_in_one_line(call, words):
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as caught:
        call()
    assert words in str(caught.value)


def test_features_of_nothing_are_an_error(backbone):
    with pytest.raises(ValueError, match="at least one image"):
        metrics.pooled_features(backbone, torch.zeros(0, 3, 32, 32))
    with pytest.raises(ValueError, match="same shape"):
        metrics.perceptual_distance(backbone, torch.zeros(1, 3, 32, 32), torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match="at least one image"):
        metrics.perceptual_distance(backbone, torch.zeros(0, 3, 32, 32), torch.zeros(0, 3, 32, 32))
