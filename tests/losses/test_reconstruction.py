"""Pixel distances."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import close
from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import ReconstructionLoss, reconstruction_loss

SUBJECT = "vistok.losses.reconstruction"


@catches(SUBJECT, "return difference.square().mean()", "return difference.square().sum()")
@catches(SUBJECT, "+ eps * eps", "+ eps")
def test_each_kind_is_a_mean_with_its_own_gradient():
    for shape in ((7,), (2, 3, 4, 5)):
        a, b = normal(0, *shape).requires_grad_(), normal(1, *shape)
        gap = (a.detach() - b).double()
        smooth = (gap.square() + 0.01).sqrt()
        cases = {
            "l2": (gap.square().mean(), 2 * gap / gap.numel()),
            "l1": (gap.abs().mean(), gap.sign() / gap.numel()),
            "charbonnier": (smooth.mean(), gap / smooth / gap.numel()),
        }
        for kind, (value, gradient) in cases.items():
            a.grad = None
            loss = reconstruction_loss(a, b, kind=kind, eps=0.1)
            loss.backward()
            assert close(loss, value)
            assert close(a.grad, gradient)
            assert torch.equal(ReconstructionLoss(kind, eps=0.1)(a, b), loss)


@catches(SUBJECT, "return difference.abs().mean()", "return difference.abs().sum()")
def test_by_hand():
    """Gaps of 3 and 4 with a round tip of 0; equal inputs cost the tip itself."""
    a, b = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    assert reconstruction_loss(a, b).item() == 12.5
    assert reconstruction_loss(a, b, kind="l1").item() == 3.5
    assert abs(reconstruction_loss(torch.ones(3), torch.ones(3), kind="charbonnier").item() - 1e-3) < 1e-9


@given(tensors((3, 4)), tensors((3, 4)), st.sampled_from(["l2", "l1", "charbonnier"]))
def test_the_lowest_value_belongs_to_equal_inputs_and_both_sides_weigh_the_same(a, b, kind):
    least = 1e-3 if kind == "charbonnier" else 0.0
    loss = reconstruction_loss(a, b, kind=kind)
    assert loss >= least - 1e-8
    assert loss == reconstruction_loss(b, a, kind=kind)
    assert abs(reconstruction_loss(a, a, kind=kind) - least) < 1e-8


@catches(SUBJECT, "_SMALLEST_EPS = 1e-18", "_SMALLEST_EPS = 1e-23")
def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="kind"):
        ReconstructionLoss("l3")
    for eps in (0.0, -1.0, 1e-23, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"^eps must be finite and >= 1e-18, got {eps}$"):
            ReconstructionLoss("l1", eps=eps)


def test_the_sharpest_tip_has_a_finite_gradient():
    x = torch.zeros(2, requires_grad=True)
    ReconstructionLoss("charbonnier", eps=1e-18)(x, torch.tensor([0.0, 1.0])).backward()
    assert x.grad.tolist() == [0.0, -0.5]
