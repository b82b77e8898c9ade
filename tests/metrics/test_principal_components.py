"""Principal components with scalar codebooks."""

import numpy as np
import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal, seeded, uniform
from vistok.metrics import fit_principal_component_codec, mean_squared_error, rate_distortion_point, to_uint8
from vistok.metrics.rate import principal_components
from vistok.metrics.rate.principal_components import fit_principal_component_codecs
from vistok.workbench.data import load_images

SUBJECT = "vistok.metrics.rate.principal_components"


@pytest.fixture(scope="module")
def digits():
    train, validation = load_images("digits", image_size=32)
    return train.images, validation.images


def correlated(seed, count):
    """Images of 4 x 4 whose variance lies in few directions."""
    mixing = normal(99, 16, 16) * (0.6 ** torch.arange(16.0))[:, None]
    return to_uint8((normal(seed, count, 16) @ mixing / 8).view(count, 1, 4, 4).clamp(-1, 1))


def test_by_hand():
    """Four greys 0, 10, 20 and 30 in one direction: two bits hold them all; one bit holds the means 5 and 25."""
    images = torch.tensor([0, 10, 20, 30], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 1, 2, 2)
    codec = fit_principal_component_codec(images, bits_per_image=2)
    assert codec.codebook_sizes == (4,)
    assert torch.equal(codec.decode(codec.encode(images)), images)
    codec = fit_principal_component_codec(images, bits_per_image=1)
    assert codec.decode(codec.encode(images))[:, 0, 0, 0].tolist() == [5, 5, 25, 25]
    assert codec.encode(images)[:, 0].tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])


@catches(SUBJECT, "errors[best] / 4 if", "errors[best] / 2 if")
@catches(SUBJECT, "if bits[best] < most else 0.0", "")
def test_bits_are_given_to_the_largest_error_each():
    """Errors 64, 9, 1: 64, 16, then 9 to the second, 4 to the first, 2.25 to the second, 1 and 1."""
    variances = torch.tensor([64.0, 9.0, 1.0], dtype=torch.float64)
    shared = [principal_components._shared_out(variances, budget, 8) for budget in range(1, 6)]
    assert shared == [[1], [2], [2, 1], [3, 1], [3, 2]]
    assert principal_components._shared_out(variances, 5, 2) == [2, 2, 1]
    assert principal_components._shared_out(variances, 100, 2) == [2, 2, 2]
    assert principal_components._shared_out(torch.tensor([4.0, 0.0]), 9, 3) == [3]


@catches(SUBJECT, "(levels[1:] + levels[:-1]) / 2", "levels[:-1]")
@catches(SUBJECT, "_LLOYD_STEPS = 50", "_LLOYD_STEPS = 0")
def test_levels_are_means_of_their_cells_and_the_nearest_is_taken():
    values = normal(0, 500).double() ** 3
    levels = principal_components._lloyd_levels(values, 8)
    assert torch.equal(levels, levels.sort().values)
    cells = (values[:, None] - levels).abs().argmin(dim=1)
    assert torch.equal(principal_components._nearest(values, levels), cells)
    for cell in range(8):
        assert levels[cell] == pytest.approx(values[cells == cell].mean().item(), abs=0.02)


def test_levels_of_a_normal_variable_are_lloyds():
    """Two levels at +-sqrt(2 / pi), error 1 - 2 / pi; four at +-0.4528 and +-1.510, error 0.1175 (Max 1960)."""
    values = normal(1, 100_000).double()
    for count, wanted, error in ((2, [0.7979], 0.3634), (4, [0.4528, 1.510], 0.1175)):
        levels = principal_components._lloyd_levels(values, count)
        assert levels[count // 2 :].tolist() == pytest.approx(wanted, abs=0.02)
        nearest = levels[principal_components._nearest(values, levels)]
        assert (values - nearest).square().mean().item() == pytest.approx(error, abs=0.01)


@catches(SUBJECT, "self.values(tokens) @ self.components + self.mean", "self.values(tokens) @ self.components")
@catches(SUBJECT, "(_flat(images) - self.mean)", "_flat(images)")
@catches(SUBJECT, "torch.linalg.svd(pixels - mean,", "torch.linalg.svd(pixels,")
def test_with_bits_enough_images_come_back():
    train, images = correlated(0, 400), correlated(1, 50)
    errors = []
    for bits in (8, 32, 120):
        codec = fit_principal_component_codec(train, bits_per_image=bits)
        assert sum(np.log2(codec.codebook_sizes)) == bits
        errors.append(mean_squared_error(codec.decode(codec.encode(images)), images).mean().item())
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 8


@catches(SUBJECT, "leading = components[: len(bits)]", "leading = components[-len(bits) :]")
def test_it_beats_as_many_random_directions():
    train, images = correlated(0, 400), correlated(1, 50)
    codec = fit_principal_component_codec(train, bits_per_image=12)
    ours = mean_squared_error(codec.decode(codec.encode(images)), images).mean()
    rotation = torch.linalg.qr(normal(3, 16, 16).double()).Q[: len(codec.levels)]
    flat = images.flatten(1).double() - codec.mean
    assert ours < (flat - flat @ rotation.T @ rotation).square().mean()


def test_the_digits_have_the_figures_of_the_page(digits):
    codec = fit_principal_component_codec(digits[0], bits_per_image=384)
    tokens = codec.encode(digits[1])
    point = rate_distortion_point(codec.decode(tokens), digits[1], tokens.unbind(1), codec.codebook_sizes)
    assert point.bits_per_pixel == 384 / 1024
    assert 25 < point.psnr < 27


@catches(SUBJECT, "if not float(deviations[0]) > 0:", "if False:")
@catches(SUBJECT, "tokens.shape[1] != len(self.levels)", "False")
def test_bad_input_is_named():
    images = to_uint8(uniform(0, 5, 1, 4, 4))
    codec = fit_principal_component_codec(images, bits_per_image=3)
    for call, words in (
        (lambda: codec.encode(images[..., :3]), r"\(N, 1, 4, 4\), got \(5, 1, 4, 3\)"),
        (lambda: codec.decode(codec.encode(images).repeat(1, 2)), r"tokens must be \(N, \d\), got"),
        (lambda: fit_principal_component_codec(images[:1], bits_per_image=3), "at least 2, got 1"),
        (lambda: fit_principal_component_codec(images[:1].expand(3, -1, -1, -1), bits_per_image=3), "all equal"),
        (lambda: fit_principal_component_codec(images, bits_per_image=0), "at least 1, got 0 and 8"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


@catches(SUBJECT, "_shared_out(deviations.square(), budget,", "_shared_out(deviations.square(), budgets[0],")
@catches(SUBJECT, "return torch.stack([levels[column] for", "return torch.stack([levels[0 * column] for")
def test_several_budgets_are_fitted_as_each_alone():
    train, images = correlated(0, 100), correlated(1, 20)
    several = fit_principal_component_codecs(train, (6, 20))
    for codec, bits in zip(several, (6, 20), strict=True):
        alone = fit_principal_component_codec(train, bits_per_image=bits)
        tokens = codec.encode(images)
        assert torch.equal(tokens, alone.encode(images))
        rounded = codec.values(tokens) - (images.flatten(1).double() - codec.mean) @ codec.components.T
        assert rounded.abs().max() < (several[0].levels[0].max() - several[0].levels[0].min())
        assert torch.equal(codec.decode(tokens), alone.decode(tokens))
    assert len(several[1].levels) > len(several[0].levels)


def test_fitting_twice_gives_one_codec_for_any_order_of_images():
    train = correlated(0, 100)
    first, second = (
        fit_principal_component_codec(train[order], bits_per_image=12)
        for order in (torch.arange(100), torch.randperm(100, generator=seeded(0)))
    )
    images = correlated(1, 20)
    assert torch.equal(first.decode(first.encode(images)), second.decode(second.encode(images)))
