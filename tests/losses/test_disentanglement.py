"""The squared cosine of two codes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import close, unit64
from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import DisentanglementLoss, disentanglement_loss

SUBJECT = "vistok.losses.disentanglement"


@catches(SUBJECT, ".square().mean()", ".mean()")
@catches(SUBJECT, "b = unit_directions(widen(codes_b), dim=channel_dim)", "b = widen(codes_b)")
def test_the_value_is_the_mean_squared_cosine():
    a, b = normal(0, 2, 5, 3), normal(1, 2, 5, 3)
    for dim in (1, 2, -1):
        wanted = (unit64(a, dim) * unit64(b, dim)).sum(dim).square().mean()
        assert close(disentanglement_loss(a, b, channel_dim=dim), wanted)
        assert close(DisentanglementLoss(channel_dim=dim)(-3 * a, 0.1 * b), wanted)
    zero = torch.zeros(2, 5, 3, requires_grad=True)
    disentanglement_loss(zero, b).backward()
    assert not zero.grad.any()


@catches(SUBJECT, "a = unit_directions(widen(codes_a), dim=channel_dim)", "a = widen(codes_a)")
def test_by_hand():
    """A right angle costs 0, 60 degrees a quarter, opposed codes 1."""
    east, north = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    assert disentanglement_loss(east, north).item() == 0.0
    assert abs(disentanglement_loss(east, torch.tensor([[1.0, 3**0.5]])).item() - 0.25) < 1e-6
    assert disentanglement_loss(east, -east).item() == 1.0


@catches(SUBJECT, "a = unit_directions(widen(codes_a), dim=channel_dim)", "a = widen(codes_a)")
def test_the_gradient_is_orthogonal_to_each_code():
    a, b = normal(0, 2, 5, 3).requires_grad_(), normal(1, 2, 5, 3).requires_grad_()
    disentanglement_loss(a, b).backward()
    for code in (a, b):
        assert code.grad.any()
        assert (code.grad * code).sum(1).abs().max() < 1e-6


@given(tensors((3, 4)), tensors((3, 4)), st.floats(0.1, 10), st.booleans())
def test_from_zero_to_one_whatever_the_length_and_the_sign(a, b, scale, opposed):
    loss = disentanglement_loss(a, b)
    assert 0 <= loss <= 1 + 1e-5
    assert abs(disentanglement_loss(a * (-scale if opposed else scale), b) - loss) < 1e-5


def test_the_batch_dimension_holds_no_code():
    with pytest.raises(ValueError, match="channel_dim"):
        disentanglement_loss(normal(0, 3, 4), normal(1, 3, 4), channel_dim=0)
