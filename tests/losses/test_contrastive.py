"""InfoNCE within a batch; across ranks it is in test_distributed.py."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import close, unit64
from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import ContrastiveLoss, contrastive_loss

SUBJECT = "vistok.losses.contrastive"


@catches(SUBJECT, "@ candidates.to(a.dtype).T / temperature", "@ candidates.to(a.dtype).T * temperature")
@catches(SUBJECT, "b = unit_directions(widen(target.detach()), dim=1)", "b = widen(target.detach())")
@catches(SUBJECT, "widen(target.detach())", "widen(target)")
def test_the_value_is_info_nce():
    for temperature in (1.0, 0.07):
        a, y = normal(0, 6, 5).requires_grad_(), normal(1, 6, 5).requires_grad_()
        cosines = (unit64(a.detach(), 1) @ unit64(y.detach(), 1).T) / temperature
        wanted = -sum(cosines[i, i] - cosines[i].exp().sum().log() for i in range(6)) / 6
        loss = ContrastiveLoss(temperature=temperature)(a, y)
        loss.backward()
        assert close(loss, wanted)
        assert y.grad is None
        assert (a.grad * a).sum(1).abs().max() < 1e-5


@catches(SUBJECT, "torch.arange(start, start + a.shape[0]", "torch.zeros(a.shape[0], dtype=torch.long")
def test_by_hand():
    """Equal targets cost log B, one image nothing; two right angles log(1 + 1/e)."""
    a, eye = normal(0, 6, 5), torch.eye(2)
    assert abs(contrastive_loss(a, torch.ones(6, 5)).item() - math.log(6)) < 1e-6
    assert contrastive_loss(a[:1], normal(1, 1, 5)).item() == 0.0
    assert abs(contrastive_loss(3 * eye, eye).item() - math.log(1 + math.exp(-1))) < 1e-6


@given(tensors((5, 4)), tensors((5, 4)), st.floats(0.05, 5))
def test_from_zero_to_the_logarithm_of_the_batch_and_two_over_the_temperature(a, y, temperature):
    loss = contrastive_loss(a, y, temperature=temperature)
    assert -1e-5 <= loss <= math.log(5) + 2 / temperature + 1e-4


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="temperature"):
        ContrastiveLoss(temperature=0.0)
    with pytest.raises(ValueError, match="features must have shape"):
        contrastive_loss(torch.ones(2, 3, 4), torch.ones(2, 3, 4))
