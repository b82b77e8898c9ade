"""The distance in the features of any network."""

import pytest
import torch
from hypothesis import given
from torch import Tensor

from _support.float64 import close
from _support.mutants import catches
from _support.stages import Stages
from _support.strategies import normal, tensors
from vistok.losses import PerceptualLoss, perceptual_loss

SUBJECT = "vistok.losses.perceptual"


def stage64(a: Tensor, b: Tensor) -> Tensor:
    """The squared distance of the directions of two feature maps, a mean over positions."""
    a, b = (x.double() / (x.double().square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b))
    return (a - b).square().sum(1).mean()


@catches(SUBJECT, "[1.0 / len(features_a)] * len(features_a)", "[1.0] * len(features_a)")
@catches(SUBJECT, "features / (norm + 1e-10)", "features")
@catches(SUBJECT, "torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)", "squared.sqrt()")
def test_the_value_sums_the_weighted_stages():
    a = [normal(0, 2, 3, 4, 4), normal(1, 2, 5, 2, 2)]
    b = [normal(2, 2, 3, 4, 4), normal(3, 2, 5, 2, 2)]
    terms = [stage64(x, y) for x, y in zip(a, b, strict=True)]
    squares = [(x.double() - y.double()).square().mean() for x, y in zip(a, b, strict=True)]
    assert close(perceptual_loss(a, b), (terms[0] + terms[1]) / 2)
    assert close(perceptual_loss(a, b, [0.3, 2.0]), 0.3 * terms[0] + 2 * terms[1])
    assert close(perceptual_loss(a, b, normalize=False), (squares[0] + squares[1]) / 2)
    assert perceptual_loss(a, a).item() == 0.0
    zero = torch.zeros(1, 3, 2, 2, requires_grad=True)
    perceptual_loss([zero * 1.0], [a[0][:1, :, :2, :2]]).backward()
    assert torch.isfinite(zero.grad).all()


@catches(SUBJECT, "(a - b).square().flatten(1).mean(dim=1)", "(a - b).square().flatten(1).sum(dim=1)")
def test_by_hand():
    """Directions (0.6, 0.8) and (1, 0): 0.16 + 0.64; the features themselves are 2 and 4 apart."""
    a, b = [torch.tensor([[[[3.0]], [[4.0]]]])], [torch.tensor([[[[1.0]], [[0.0]]]])]
    assert abs(perceptual_loss(a, b).item() - 0.8) < 1e-6
    assert perceptual_loss(a, b, normalize=False).item() == 10.0


@catches(SUBJECT, "with torch.no_grad():", "with torch.enable_grad():")
@catches(SUBJECT, "FrozenNetwork(network)", "network")
def test_only_the_reconstruction_gets_a_gradient_and_the_network_stays_as_it_was():
    network = Stages()
    module = PerceptualLoss(network).train()
    image, target = normal(0, 2, 3, 8, 8).requires_grad_(), normal(1, 2, 3, 8, 8).requires_grad_()
    statistics = network.first[1].running_mean.clone()
    module(image, target).backward()
    assert torch.equal(network.first[1].running_mean, statistics)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert target.grad is None
    assert image.grad.any()
    assert close(module(image, target), perceptual_loss(network(image), network(target)))


@given(tensors((3, 4)), tensors((3, 4)))
def test_from_zero_to_four(a, b):
    assert -1e-5 <= perceptual_loss([a], [b]) <= 4 + 1e-4


def test_wrong_input_is_named():
    a, b = normal(0, 3, 4), normal(1, 3, 4)
    with pytest.raises(ValueError, match="same number of maps"):
        perceptual_loss([a], [b, b])
    with pytest.raises(ValueError, match="at least 1"):
        perceptual_loss([], [])
    with pytest.raises(ValueError, match="weights"):
        perceptual_loss([a], [b], [1.0, 2.0])
    with pytest.raises(ValueError, match="weights"):
        PerceptualLoss(torch.nn.Identity(), weights=[-1.0])
