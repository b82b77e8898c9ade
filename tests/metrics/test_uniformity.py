"""How evenly latents fill their space."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeded, tensors
from vistok.metrics import density_uniformity, evenness, one_position_per_image, wang_isola_uniformity

SUBJECT = "vistok.metrics.codes.uniformity"


@catches(SUBJECT, "correction=0) / rho.mean()", "correction=1) / rho.mean()")
@catches(SUBJECT, "/ np.log2(n)", "")
@catches(SUBJECT, "2 * ranks - n - 1", "2 * ranks - n")
@catches(SUBJECT, "rho.sort().values", "rho")
def test_evenness_by_hand():
    """Densities 1, 1, 6: mean 8/3, population variance 50/9; shares 1/8, 1/8, 3/4; Gini (-2 + 0 + 12) / 24."""
    values = evenness(torch.tensor([6.0, 1.0, 1.0]))
    assert abs(values.cv - math.sqrt(50) / 3 / (8 / 3)) < 1e-12
    entropy = -(2 * 0.125 * math.log2(0.125) + 0.75 * math.log2(0.75)) / math.log2(3)
    assert abs(values.normalized_entropy - entropy) < 1e-8
    assert abs(values.gini - 10 / 24) < 1e-12


@given(tensors((9,)).map(torch.abs), st.floats(0.1, 10))
def test_evenness_stays_in_range_and_ignores_order_and_scale(densities, scale):
    assume(float(densities.sum()) > 1e-3)
    values = evenness(densities)
    assert 0 <= values.cv <= math.sqrt(8) + 1e-9
    assert -1e-8 <= values.normalized_entropy <= 1 + 1e-9
    assert -1e-12 <= values.gini <= 1 - 1 / 9 + 1e-12
    assert evenness(densities.flip(0) * scale) == pytest.approx(values, abs=1e-6)


@catches(SUBJECT, "-2.0 * temperature", "-temperature")
@catches(SUBJECT, "* 2 / (len(units)", "/ (len(units)")
def test_wang_isola_is_the_log_mean_potential_of_all_pairs():
    vectors = normal(0, 13, 4)
    units = vectors.double() / vectors.double().norm(dim=1, keepdim=True)
    potentials = [
        math.exp(-3.0 * float((units[i] - units[j]).square().sum())) for i in range(13) for j in range(13) if i != j
    ]
    for block_size in (1, 5, 100):
        value = wang_isola_uniformity(vectors, temperature=3.0, block_size=block_size)
        assert abs(value - math.log(np.mean(potentials))) < 1e-9


@given(tensors((6, 3)), st.floats(0.1, 10))
def test_wang_isola_ignores_order_and_scale(vectors, scale):
    assume(bool((vectors.norm(dim=1) > 1e-3).all()))
    value = wang_isola_uniformity(vectors)
    assert wang_isola_uniformity(vectors.flip(0) * scale) == pytest.approx(value, abs=1e-5)
    assert -8.0 - 1e-9 <= value <= 1e-9


@catches(SUBJECT, "torch.randint(flat.shape[2], (len(flat),)", "torch.randint(flat.shape[1], (len(flat),)")
def test_one_position_is_drawn_from_every_image():
    latents = torch.arange(50 * 2 * 6, dtype=torch.float32).view(50, 2, 2, 3)
    drawn = one_position_per_image(latents, generator=seeded(0))
    assert drawn.shape == (50, 2)
    positions = drawn - latents.flatten(2)[:, :, 0]
    assert torch.equal(positions[:, 0], positions[:, 1])
    assert sorted(positions[:, 0].unique().tolist()) == [0, 1, 2, 3, 4, 5]


def test_repeated_latents_are_less_even_than_spread_ones_and_the_seed_decides():
    spread = torch.rand(45, 3, generator=seeded(0))
    repeated = spread.clone()
    repeated[:15] = repeated[0]
    even, uneven = density_uniformity(spread), density_uniformity(repeated)
    assert even == density_uniformity(spread)
    assert even.cv < uneven.cv
    assert even.gini < uneven.gini
    assert even.normalized_entropy > uneven.normalized_entropy


@catches(SUBJECT, "[:, deviations > 0] / deviations[deviations > 0]", "[:, deviations > 0]")
def test_density_uniformity_brings_channels_to_one_scale_and_ignores_constant_ones():
    vectors = torch.rand(40, 3, generator=seeded(0))
    scaled = torch.cat([vectors * torch.tensor([1.0, 8.0, 0.5]), torch.ones(40, 1)], dim=1)
    assert density_uniformity(scaled).cv == pytest.approx(density_uniformity(vectors).cv, rel=0.02)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: evenness(torch.ones(1)), "n >= 2"),
        (lambda: evenness(torch.tensor([1.0, -1.0])), "not negative"),
        (lambda: wang_isola_uniformity(torch.eye(2), temperature=0.0), "temperature"),
        (lambda: density_uniformity(torch.zeros(30, 2)), "n > 30"),
        (lambda: density_uniformity(torch.ones(40, 2)), "not all equal"),
        (lambda: density_uniformity(torch.stack([torch.arange(40.0), torch.ones(40)], 1)), "in 2 channels or more"),
        (lambda: one_position_per_image(torch.ones(40, 2), generator=torch.Generator()), "(N, C, H, W)"),
    ],
)
def test_bad_input_is_named_in_one_line(call, words):
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as caught:
        call()
    assert words in str(caught.value)
