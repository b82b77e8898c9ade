"""What a residual module leaves of the gap that quantization made."""

import pytest
import torch
from hypothesis import given

from _support.float64 import close
from _support.mutants import catches
from _support.strategies import integer_tensors, normal, tensors
from vistok.losses import ResidualLoss, residual_loss

SUBJECT = "vistok.losses.residual"


@catches(SUBJECT, "- code - widen(residual)", "- code + widen(residual)")
@catches(SUBJECT, "difference.reshape(len(difference), -1)", "difference")
def test_the_forms_are_those_of_the_equation():
    target, quantized, residual = (normal(seed, 3, 4, 5) for seed in range(3))
    gap = (target - quantized - residual).double()
    assert close(residual_loss(target, quantized, residual), gap.square().mean())
    assert close(residual_loss(target, quantized, residual, norm="l1"), gap.abs().mean())
    norms = torch.stack([sample.square().sum().sqrt() for sample in gap])
    assert close(residual_loss(target, quantized, residual, norm="norm"), norms.mean())


@catches(SUBJECT, "return difference.square().mean()", "return difference.square().sum()")
@catches(SUBJECT, "difference.reshape(len(difference), -1)", "difference.reshape(1, -1)")
def test_by_hand():
    """A gap of 3 and 4: their norm is 5, of a sample each 3.5, their mean square 12.5, their mean size 3.5."""
    gap, zero = torch.tensor([3.0, 4.0]), torch.zeros(2)
    assert residual_loss(gap[None], zero[None], zero[None], norm="norm").item() == 5.0
    assert residual_loss(gap, zero, zero, norm="norm").item() == 3.5
    assert residual_loss(gap, zero, zero).item() == 12.5
    assert residual_loss(gap, zero, zero, norm="l1").item() == 3.5


@catches(SUBJECT, "widen(target.detach()) - code", "widen(target) - code")
@catches(SUBJECT, "quantized.detach() if detach_quantized else quantized", "quantized")
def test_the_gradient_takes_the_chosen_way():
    for detach in (False, True):
        target, quantized, residual = (normal(seed, 3, 4).requires_grad_() for seed in range(3))
        ResidualLoss(detach_quantized=detach)(target, quantized, residual).backward()
        wanted = 2 * (quantized + residual - target).detach() / 12
        assert target.grad is None
        assert close(residual.grad, wanted)
        assert quantized.grad is None if detach else close(quantized.grad, wanted)
    for norm in ("squared", "l1", "norm"):
        same = torch.ones(2, 3, requires_grad=True)
        residual_loss(torch.ones(2, 3), same, torch.zeros(2, 3), norm=norm).backward()
        assert not same.grad.any()


@given(tensors((3, 4)), tensors((3, 4)))
def test_never_below_zero(a, b):
    for norm in ("squared", "l1", "norm"):
        assert residual_loss(a, b, a, norm=norm) >= 0


@given(integer_tensors((2, 3)), integer_tensors((2, 3)), integer_tensors((2, 3)))
def test_zero_exactly_where_the_residual_fills_the_gap(target, quantized, residual):
    for norm in ("squared", "l1", "norm"):
        assert residual_loss(quantized + residual, quantized, residual, norm=norm) == 0
        filled = torch.equal(quantized + residual, target)
        assert (residual_loss(target, quantized, residual, norm=norm) == 0) == filled


def test_an_unknown_norm_is_named():
    with pytest.raises(ValueError, match="norm"):
        ResidualLoss(norm="l3")
