"""Energy kept by band of spatial frequency."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given

from _support.mutants import catches
from _support.strategies import tensors, uniform
from vistok.metrics import BandMeasures, FrequencyBands, NotMeasurableError, frequency_bands
from vistok.metrics.reconstruction.frequency_bands import band_of_frequency

SUBJECT = "vistok.metrics.reconstruction.frequency_bands"
SLOW, FAST = (torch.tensor(wave).expand(1, 1, 4, 4) for wave in ([1, 1, -1, -1], [1, -1, 1, -1]))


def pixels(values):
    return values.add(128).to(torch.uint8)


def rederived(x, y, edges):
    """Pixels that a band lets pass, by sums of cosines and sines: no transform."""
    height, width = x.shape[-2:]
    rows, columns = np.mgrid[:height, :width]
    bands = [(low, high) for low, high in zip((1e-12, *edges), (*edges, 9.0), strict=True)]
    energy, explained, correlation = [], [], []
    for low, high in bands:
        passed = [np.zeros(side.shape) for side in (x, y)]
        for u in range(height):
            for v in range(width):
                cycles = (min(u, height - u) / height, min(v, width - v) / width)
                if low <= 2 * math.hypot(*cycles) < high:
                    phase = 2 * np.pi * (u * rows / height + v * columns / width)
                    for side, out in zip((x, y), passed, strict=True):
                        for wave in (np.cos(phase), np.sin(phase)):
                            out += (side * wave).sum(axis=(-2, -1), keepdims=True) * wave / (height * width)
        one, other = passed
        energy.append((one**2).sum() / (other**2).sum())
        explained.append(1 - ((one - other) ** 2).sum() / (other**2).sum())
        correlation.append((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))
    return energy, explained, correlation


@catches(SUBJECT, "(2 * both - energy) / reference", "both / reference")
@catches(SUBJECT, "energy / reference, explained", "reference / energy, explained")
@catches(SUBJECT, "2 * (rows[:, None]", "(rows[:, None]")
def test_by_hand():
    """Twice the slow wave and half the fast one: gains of 2 and 1/2, so 2 g - g^2 = 0 and 3/4 are explained."""
    found = frequency_bands(pixels(32 * SLOW + 8 * FAST), pixels(16 * SLOW + 16 * FAST), edges=(0.75,))
    wanted = BandMeasures(*torch.tensor([[0.5, 0.5], [4.0, 0.25], [0.0, 0.75], [1.0, 1.0]], dtype=torch.float64))
    for name, value, expected in zip(found._fields, found, wanted, strict=True):
        torch.testing.assert_close(value, expected, msg=lambda text, name=name: f"{name}: {text}")
    opposite = frequency_bands(pixels(-16 * SLOW), pixels(16 * SLOW + 16 * FAST), edges=(0.75,))
    torch.testing.assert_close(opposite.correlation, torch.tensor([-1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(opposite.explained, torch.tensor([-3.0, 0.0], dtype=torch.float64))


@catches(SUBJECT, "(x * y.conj()).real", "(x * y).real")
@catches(SUBJECT, 'norm="ortho"', 'norm="forward"')
@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_bands_follow_the_formula(size):
    x, y = (torch.randint(0, 256, (3, 2, *size), generator=torch.Generator().manual_seed(s)).byte() for s in (0, 1))
    mixed = (0.5 * x.double() + 0.5 * y.double()).round().byte()
    found = frequency_bands(mixed, y, edges=(0.4, 0.9))
    wanted = rederived(*(side.double().numpy() for side in (mixed, y)), (0.4, 0.9))
    for value, expected in zip(found[1:], wanted, strict=True):
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-9, atol=1e-12)
    metric = FrequencyBands((0.4, 0.9))
    metric.update(y, y)
    total = (y.double() - y.double().mean(dim=(2, 3), keepdim=True)).square().sum()
    torch.testing.assert_close(metric.state_dict()["references"].sum(), total)


@catches(SUBJECT, "right=True", "right=False")
@catches(SUBJECT, "torch.where(radius > 0, bands, 0)", "bands")
def test_a_radius_on_an_edge_lies_above_it_and_the_constant_part_in_no_band():
    assert band_of_frequency((1, 8), (0.25, 1.0)).tolist() == [[0, 2, 2, 2, 3, 2, 2, 2]]
    corner = band_of_frequency((2, 2), (1.2,))
    assert corner.tolist() == [[0, 1], [1, 2]]


@given(tensors((2, 1, 8, 8), limit=1.0), tensors((2, 1, 8, 8), limit=1.0))
def test_explained_is_never_above_the_square_of_the_correlation(x, y):
    metric = FrequencyBands((0.6,))
    metric.update(x, y)
    metric.update(uniform(0, 1, 1, 8, 8), uniform(1, 1, 1, 8, 8))
    found = metric.compute()
    assert (found.explained <= found.correlation.square() + 1e-9).all()
    assert (found.correlation.abs() <= 1).all()
    assert (found.energy >= 0).all()
    assert abs(found.share.sum() - 1) < 1e-12


def test_equal_images_explain_everything_and_an_offset_changes_nothing():
    x = torch.randint(20, 200, (2, 3, 9, 10), generator=torch.Generator().manual_seed(0)).byte()
    for images in (x, x + 30):
        found = frequency_bands(images, x, edges=(0.3, 0.8))
        for value in found[1:]:
            torch.testing.assert_close(value, torch.ones(3, dtype=torch.float64))


@catches(SUBJECT, "torch.where(energy < _ROUNDING, 0.0, both / scale)", "both / scale")
def test_images_without_energy_correlate_with_nothing():
    found = frequency_bands(torch.full((1, 1, 7, 7), 99, dtype=torch.uint8), uniform(0, 1, 1, 7, 7), edges=(0.5,))
    assert found.correlation.tolist() == [0.0, 0.0]
    assert found.explained.abs().max() < 1e-12


@catches(SUBJECT, "(reference < _ROUNDING)", "(reference < 0)")
def test_a_band_without_energy_has_no_figures():
    with pytest.raises(NotMeasurableError, match=r"energy in every band, got none in \[1\]"):
        frequency_bands(pixels(SLOW), pixels(SLOW), edges=(0.75,))
    with pytest.raises(NotMeasurableError, match=r"got none in \[0, 1\]"):
        FrequencyBands().compute()
    with pytest.raises(NotMeasurableError, match=r"got none in \[0, 1, 2\]"):
        frequency_bands(*(torch.full((1, 3, 7, 5), 77, dtype=torch.uint8),) * 2, edges=(0.5, 1))


@catches(SUBJECT, "if not self.edges or any(not low < high", "if any(not low <= high")
@pytest.mark.parametrize("edges", [(), (0.0, 0.5), (0.5, 0.5)])
def test_edges_hold_something_between_them(edges):
    with pytest.raises(ValueError, match=r"^edges must increase within \(0, sqrt\(2\)\)"):
        FrequencyBands(edges)


@pytest.mark.parametrize("edges", [(0.7, 0.5), (0.5, 1.5), (math.nan,)])
def test_edges_that_do_not_increase_within_the_square_are_refused(edges):
    with pytest.raises(ValueError, match=r"^edges must increase within \(0, sqrt\(2\)\)"):
        FrequencyBands(edges)


@pytest.mark.parametrize("shape", [(1, 1, 4, 1), (1, 4, 4)])
def test_shapes_that_differ_are_named(shape):
    with pytest.raises(ValueError, match=r"same \(B, C, H, W\)"):
        frequency_bands(torch.zeros(1, 1, 4, 4), torch.zeros(shape))
