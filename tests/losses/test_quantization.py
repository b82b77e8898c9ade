"""The codebook and commitment terms."""

import pytest
import torch
from hypothesis import given

from _support.float64 import close
from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import CodebookCommitmentLoss, codebook_commitment_loss

SUBJECT = "vistok.losses.quantization"


@catches(SUBJECT, "codebook + beta * commitment", "beta * codebook + commitment")
@catches(SUBJECT, "F.mse_loss(z_q, z_e.detach())", "F.mse_loss(z_q, z_e)")
@catches(SUBJECT, "F.mse_loss(z_e, z_q.detach())", "F.mse_loss(z_e, z_q)")
def test_beta_sits_on_the_commitment_term():
    for beta in (0.0, 0.25, 3.0):
        z_e, z_q = normal(0, 2, 3, 4).requires_grad_(), normal(1, 2, 3, 4).requires_grad_()
        loss = codebook_commitment_loss(z_e, z_q, beta=beta)
        loss.backward()
        gap = (z_q - z_e).detach().double()
        assert close(loss, (1 + beta) * gap.square().mean())
        assert close(z_q.grad, 2 * gap / 24)
        assert close(z_e.grad, -2 * beta * gap / 24)
        assert torch.equal(CodebookCommitmentLoss(beta)(z_e, z_q), loss)


@catches(SUBJECT, "F.mse_loss(z_e, z_q.detach())", 'F.mse_loss(z_e, z_q.detach(), reduction="sum")')
def test_by_hand():
    """Gaps of 2 and 0: a mean square of 2, once for the codes and half for the encoder."""
    assert codebook_commitment_loss(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0]), beta=0.5).item() == 3.0


@given(tensors((3, 4)), tensors((3, 4)))
def test_zero_exactly_at_equal_features_and_codes_and_never_below(a, b):
    loss = codebook_commitment_loss(a, b)
    assert loss >= 0
    assert (loss == 0) == torch.equal(a, b) or (a - b).abs().max() < 1e-18


@pytest.mark.parametrize("beta", [-1.0, float("nan"), float("inf")])
def test_a_beta_that_is_negative_or_not_finite_is_named(beta):
    for build in (
        lambda: CodebookCommitmentLoss(beta),
        lambda: codebook_commitment_loss(normal(0, 2), normal(1, 2), beta=beta),
    ):
        with pytest.raises(ValueError, match="beta"):
            build()
