"""R1, whose value is a gradient and whose gradient is a second derivative."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import R1Penalty, r1_penalty

SUBJECT = "vistok.losses.gradient_penalty"


@catches(SUBJECT, "return 0.5 * wide", "return wide")
@catches(SUBJECT, ".flatten(1).mean(dim=1)", ".flatten(1).sum(dim=1)")
@catches(SUBJECT, "create_graph=True", "create_graph=False")
def test_the_penalty_is_half_the_squared_slope_and_reaches_the_weights():
    network = nn.Conv2d(2, 3, 3).double()
    images = normal(0, 2, 2, 5, 5).double().requires_grad_()
    loss = R1Penalty()(network(images), images)
    slopes = []
    for index in range(2):
        image = images.detach()[index : index + 1].requires_grad_()
        network(image).mean().backward()
        slopes.append(image.grad.square().sum())
    assert abs(loss - sum(slopes) / 4) < 1e-10
    assert torch.autograd.gradcheck(
        lambda w, x: r1_penalty(torch.tanh(x * w).sum(1), x),
        (normal(1, 3).double().requires_grad_(), normal(2, 4, 3).double().requires_grad_()),
    )
    network.zero_grad()
    loss.backward()
    assert network.weight.grad.any()


@catches(SUBJECT, ".sum(dim=1).mean()", ".sum(dim=1).sum()")
def test_by_hand():
    """A score of 3 x + 4 y has slope 5 at every image: half of 25."""
    images = normal(0, 7, 2).requires_grad_()
    assert r1_penalty(images @ torch.tensor([3.0, 4.0]), images).item() == 12.5


@given(tensors((3, 2)), st.floats(-5, 5, width=32))
def test_never_below_zero_and_zero_for_a_discriminator_that_does_not_look(images, slope):
    images.requires_grad_()
    assert r1_penalty((slope * images**2).sum(1), images) >= 0
    assert r1_penalty((0 * images).sum(1) + slope, images) == 0


def test_wrong_input_is_named():
    images = normal(0, 3, 4)
    with pytest.raises(ValueError, match=r"must require gradients .*, got requires_grad=False"):
        r1_penalty(images.sum(1), images)
    with pytest.raises(ValueError, match="same batch size"):
        r1_penalty(torch.ones(2), images)


@catches(SUBJECT, "materialize_grads=True", "materialize_grads=False")
@catches(SUBJECT, "if not scores.requires_grad:", "if False:")
def test_logits_of_other_images_have_no_slope_and_those_without_a_graph_are_named():
    images, other = normal(0, 3, 4).requires_grad_(), normal(1, 3, 4).requires_grad_()
    assert r1_penalty(other.sum(1), images) == 0
    with pytest.raises(ValueError, match="real_logits must be computed from real_images, got logits without a graph"):
        r1_penalty(images.detach().sum(1), images)
