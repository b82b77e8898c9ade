"""The weight that balances the adversarial gradient against the reconstruction's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal
from vistok.losses import adaptive_weight

SUBJECT = "vistok.losses.adaptive_weight"


@catches(SUBJECT, "sizes[0] / (sizes[1] + eps)", "sizes[1] / (sizes[0] + eps)")
@catches(SUBJECT, ".clamp(0.0, max_weight)", "")
def test_the_weight_is_the_ratio_of_gradients():
    layer = normal(0, 3, 4).requires_grad_()
    reconstruction, generator = (layer * normal(1, 3, 4)).sum(), 0.1 * (layer**2).sum()
    weight = adaptive_weight(reconstruction, generator, layer)
    wanted = normal(1, 3, 4).double().norm() / (0.2 * layer.detach().double().norm() + 1e-4)
    assert abs(weight.item() - wanted.item()) < 1e-4
    assert not weight.requires_grad
    (reconstruction + weight * generator).backward()
    assert adaptive_weight((0 * layer).sum(), layer.sum(), layer).item() == 0.0
    assert adaptive_weight(layer.sum(), (0 * layer).sum(), layer).item() == 1e4
    assert adaptive_weight(layer.sum(), (0 * layer).sum(), layer, max_weight=7.0).item() == 7.0


@catches(SUBJECT, "retain_graph=True", "retain_graph=False")
@catches(SUBJECT, "sizes[1] + eps", "sizes[1]")
def test_by_hand_and_both_losses_can_still_be_differentiated():
    """Gradients of 12 and 5 over an eps of 1: 12 / 6 = 2."""
    layer = torch.ones(1, requires_grad=True)
    reconstruction, generator = (12 * layer).square().sum() / 24, (5 * layer).square().sum() / 10
    weight = adaptive_weight(reconstruction, generator, layer, eps=1.0)
    assert weight.item() == 2.0
    (reconstruction + weight * generator).backward()
    assert layer.grad.item() == 12 + 2 * 5


@catches(SUBJECT, "torch.where(both_finite, weight, torch.zeros_like(weight))", "weight")
@catches(SUBJECT, 'on_non_finite == "raise" and not size.is_meta and not', 'on_non_finite == "raise" and')
def test_it_stops_at_a_gradient_that_is_not_finite():
    layer = torch.ones(2, requires_grad=True)
    bad = (layer * float("inf")).sum()
    for terms, name in (((bad, layer.sum()), "reconstruction_loss"), ((layer.sum(), bad), "generator_loss")):
        with pytest.raises(FloatingPointError, match=name):
            adaptive_weight(*terms, layer)
        weight = adaptive_weight(*terms, layer, on_non_finite="zero")
        assert weight.item() == 0.0
        assert torch.isnan(weight * bad)


@given(st.floats(-100, 100, width=32), st.floats(-100, 100, width=32), st.floats(0.01, 1e4))
def test_from_zero_to_the_upper_clamp(reconstruction, generator, max_weight):
    layer = torch.ones(2, requires_grad=True)
    losses = (reconstruction * layer).sum(), (generator * layer).sum()
    assert 0 <= adaptive_weight(*losses, layer, max_weight=max_weight) <= torch.tensor(max_weight)


def test_wrong_input_is_named():
    layer = normal(0, 3, 4).requires_grad_()
    with pytest.raises(ValueError, match="scalar"):
        adaptive_weight(layer, layer.sum(), layer)
    for options in ({"max_weight": 0.0}, {"eps": 0.0}, {"on_non_finite": "ignore"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            adaptive_weight(layer.sum(), layer.sum(), layer, **options)


@catches(SUBJECT, "if not loss.requires_grad:", "if False:")
@catches(SUBJECT, "if gradient is None:", "if False:")
def test_a_loss_that_does_not_depend_on_the_layer_is_named():
    layer, other = normal(0, 3).requires_grad_(), normal(1, 3).requires_grad_()
    with pytest.raises(ValueError, match="generator_loss must depend on last_layer, got a loss of other parameters"):
        adaptive_weight(layer.sum(), other.sum(), layer)
    with pytest.raises(ValueError, match="reconstruction_loss must depend on last_layer, got a loss without a graph"):
        adaptive_weight(layer.detach().sum(), layer.sum(), layer)


@catches(SUBJECT, "if not last_layer.requires_grad:", "if False:")
def test_a_frozen_last_layer_is_named():
    frozen, free = normal(0, 3), normal(1, 3).requires_grad_()
    with pytest.raises(ValueError, match=r"^last_layer must require gradients, got a frozen tensor$"):
        adaptive_weight((frozen * free).sum(), free.sum(), frozen)
