"""Alignment with a pretrained network's features, position by position and pooled."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import close, unit64
from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import PatchAlignmentLoss, PooledAlignmentLoss, patch_alignment_loss, pooled_alignment_loss

SUBJECT = "vistok.losses.alignment"


@catches(SUBJECT, "b = unit_directions(widen(target.detach())", "b = unit_directions(widen(target)")
@catches(SUBJECT, "a = unit_directions(widen(features), dim=channel_dim)", "a = widen(features)")
def test_patch_alignment_is_one_minus_the_mean_cosine():
    a, b = normal(0, 2, 5, 3).requires_grad_(), normal(1, 2, 5, 3).requires_grad_()
    for dim in (1, -1):
        wanted = 1 - (unit64(a, dim) * unit64(b, dim)).sum(dim).mean()
        loss = PatchAlignmentLoss(channel_dim=dim)(a, b)
        assert close(loss, wanted)
    loss.backward()
    assert b.grad is None
    assert (a.grad * a).sum(-1).abs().max() < 1e-6
    assert abs(patch_alignment_loss(-2 * b, b).item() - 2) < 1e-6


@catches(SUBJECT, "1.0 - (a * b)", "0.0 - (a * b)")
def test_by_hand():
    """A right angle costs 1, opposed features 2; the mean of east and north lies along the diagonal."""
    east, north = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    assert patch_alignment_loss(east, north).item() == 1.0
    assert abs(patch_alignment_loss(-2 * north, north).item() - 2) < 1e-6
    both = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    assert abs(pooled_alignment_loss(both, torch.tensor([[3.0, 0.0]])).item() - (1 - 0.5**0.5)) < 1e-6


@catches(SUBJECT, "rows.flatten(2).mean(dim=2)", "rows.flatten(2).amax(dim=2)")
def test_pooled_alignment_compares_the_mean_feature():
    a, y = normal(0, 2, 5, 3).requires_grad_(), normal(1, 2, 5).requires_grad_()
    wanted = 1 - (unit64(a.mean(2), 1) * unit64(y, 1)).sum(1).mean()
    loss = PooledAlignmentLoss()(a, y)
    assert close(loss, wanted)
    assert close(pooled_alignment_loss(a.movedim(1, -1), y, channel_dim=-1), wanted)
    loss.backward()
    assert y.grad is None
    assert close(a.grad[..., 0], a.grad[..., 1])


@given(tensors((3, 4)), tensors((3, 4)))
def test_from_zero_to_two(a, b):
    assert 0 <= patch_alignment_loss(a, b) <= 2 + 1e-5
    assert 0 <= pooled_alignment_loss(a, b) <= 2 + 1e-5


@given(tensors((3, 4)), st.floats(0.1, 30))
def test_features_along_their_target_lose_nothing_and_never_less(a, scale):
    assert patch_alignment_loss(a * scale, a) >= 0 or not a.abs().amax(1).all()
    assert pooled_alignment_loss(a * scale, a) >= 0


def test_wrong_input_is_named():
    features = normal(0, 3, 4)
    with pytest.raises(ValueError, match="channel_dim"):
        patch_alignment_loss(features, features, channel_dim=2)
    with pytest.raises(ValueError, match=r"target must have shape \(3, 4\)"):
        pooled_alignment_loss(features, torch.ones(3, 5))
