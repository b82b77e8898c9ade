"""Distance between images in the features of a network."""

import pytest
import torch
from torch import nn

from _support.mutants import catches
from _support.strategies import normal, uniform
from vistok.metrics import PerceptualDistance, perceptual_distance

SUBJECT = "vistok.metrics.reconstruction.perceptual"


@pytest.fixture(scope="module")
def network():
    """Three stages, each of half the size."""
    torch.manual_seed(0)
    layers = nn.ModuleList(nn.Conv2d(*channels, 3, stride=2) for channels in ((3, 8), (8, 12), (12, 16)))

    def stages(images):
        maps = []
        for layer in layers:
            images = layer(images).relu() if maps else layer(images)
            maps.append(images)
        return maps

    return stages


@catches(SUBJECT, "dim=1, keepdim=True", "dim=(1, 2, 3), keepdim=True")
@catches(SUBJECT, ".sum(dim=1).mean(dim=(1, 2))", ".mean(dim=(1, 2, 3))")
@catches(SUBJECT, "torch.stack(stages).mean(dim=0)", "torch.stack(stages).sum(dim=0)")
def test_it_follows_its_formula(network):
    x, y = uniform(0, 2, 3, 32, 32), uniform(1, 2, 3, 32, 32)
    total = torch.zeros(2, dtype=torch.float64)
    for a, b in zip(network(x), network(y), strict=True):
        a, b = (side.double() / side.double().norm(dim=1, keepdim=True).clamp_min(1e-9) for side in (a, b))
        total += (a - b).square().sum(1).mean((1, 2)) / 3
    assert torch.allclose(perceptual_distance(network, x, y).double(), total, atol=1e-5)


def test_by_hand():
    """One position: (3, 4) and (4, 3) are (0.6, 0.8) and (0.8, 0.6), 0.04 + 0.04 apart; (0, 5): 0.36 + 0.04."""
    x, y = torch.tensor([[3.0, 4.0], [3.0, 4.0]]), torch.tensor([[4.0, 3.0], [0.0, 5.0]])
    values = perceptual_distance(lambda batch: [batch], x.view(2, 2, 1, 1), y.view(2, 2, 1, 1))
    assert torch.allclose(values, torch.tensor([0.08, 0.4]), atol=1e-6)


@catches(SUBJECT, "start : start + batch_size]", "start : start + 64]")
def test_it_is_symmetric_zero_for_equal_images_and_grows_with_noise(network):
    x, noise = uniform(0, 5, 3, 32, 32), normal(1, 5, 3, 32, 32)
    near, far = (perceptual_distance(network, x, x + level * noise) for level in (0.02, 0.5))
    assert (near < far).all()
    assert ((far > 0) & (far <= 4)).all()
    assert torch.allclose(far, perceptual_distance(network, x + 0.5 * noise, x), atol=1e-6)
    assert perceptual_distance(network, x, x).tolist() == [0.0] * 5
    halves = perceptual_distance(network, x, x + 0.5 * noise, batch_size=2)
    assert torch.allclose(far, halves, atol=1e-5)


@catches(SUBJECT, "self.add(perceptual_distance(", "self.add(1 - perceptual_distance(")
def test_the_stream_is_the_mean_of_the_images(network):
    x, y = uniform(0, 5, 3, 32, 32), uniform(1, 5, 3, 32, 32)
    metric = PerceptualDistance(network)
    for part in ([0], [1, 2, 3, 4]):
        metric.update(x[part], y[part])
    assert abs(metric.compute() - perceptual_distance(network, x, y).double().mean().item()) < 1e-6


@catches(SUBJECT, "if not len(images):", "if False:")
def test_bad_input_is_named(network):
    with pytest.raises(ValueError, match="same shape"):
        perceptual_distance(network, torch.zeros(1, 3, 32, 32), torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match="at least one image"):
        perceptual_distance(network, torch.zeros(0, 3, 32, 32), torch.zeros(0, 3, 32, 32))


@catches(SUBJECT, "features = features.float()", "pass")
def test_a_network_in_half_precision_gives_float32_numbers():
    def stages(images):
        return [(images.relu() * 300).half()]

    x, y = normal(0, 4, 3, 8, 8), normal(1, 4, 3, 8, 8)
    y[:, :, :2] = -1  # nothing is left of it
    found = perceptual_distance(stages, x, y)
    assert found.dtype == torch.float32
    assert torch.allclose(found, perceptual_distance(lambda images: [images.relu()], x, y), atol=2e-3)
