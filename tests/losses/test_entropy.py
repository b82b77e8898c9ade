"""Entropy terms of a codebook of vectors; across ranks they are in test_distributed.py."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import entropies64
from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import VectorEntropyLoss, entropy, vector_entropy_loss, vector_entropy_terms

SUBJECT = "vistok.losses.entropy"


@catches(SUBJECT, "(2.0 * rows @ codes.T - codes", "(rows @ codes.T - codes")
@catches(SUBJECT, "sample / tokens.shape[0]", "sample")
@catches(SUBJECT, "terms.sample - codebook_weight", "terms.sample + codebook_weight")
def test_the_terms_are_those_of_all_codes():
    for temperature in (0.05, 1.0):
        z, book = normal(0, 2, 3, 5).requires_grad_(), normal(1, 7, 3).requires_grad_()
        z64, book64 = (x.detach().double().requires_grad_() for x in (z, book))
        distance = torch.cdist(z64.movedim(1, -1).reshape(-1, 3), book64).square()
        sample, codebook = entropies64((-distance / temperature).softmax(1))
        terms = vector_entropy_terms(z, book, temperature=temperature)
        assert abs(terms.sample - sample) < 1e-5
        assert abs(terms.codebook - codebook) < 1e-5
        loss = VectorEntropyLoss(temperature=temperature, codebook_weight=0.7)(z, book)
        assert abs(loss - (sample - 0.7 * codebook)) < 1e-5
        loss.backward()
        (sample - 0.7 * codebook).backward()
        assert torch.allclose(z.grad.double(), z64.grad, atol=1e-5)
        assert torch.allclose(book.grad.double(), book64.grad, atol=1e-5)
        last = vector_entropy_terms(z.movedim(1, -1), book, temperature=temperature, channel_dim=-1)
        assert abs(last.sample - sample) < 1e-5


@catches(SUBJECT, ").sum(dim=1)) / temperature", ").sum(dim=1)) * temperature")
def test_by_hand():
    """A token that is log 3 nearer to one of two codes: 3 to 1; with its mirror image both codes are used equally."""
    z, book = torch.tensor([[0.5], [-0.5]]), torch.tensor([[0.5], [-0.5]])
    terms = vector_entropy_terms(z, book, temperature=1 / math.log(3))
    assert abs(terms.sample - (-0.75 * math.log(0.75) - 0.25 * math.log(0.25))) < 1e-6
    assert abs(terms.codebook - math.log(2)) < 1e-6


def test_token_blocks_change_nothing(monkeypatch):
    results = []
    for elements in (entropy._BLOCK_ELEMENTS, 40, 1):
        monkeypatch.setattr(entropy, "_BLOCK_ELEMENTS", elements)
        x = normal(0, 9, 4).requires_grad_()
        loss = vector_entropy_loss(x, normal(1, 7, 4))
        loss.backward()
        with torch.no_grad():
            assert abs(vector_entropy_loss(x, normal(1, 7, 4)) - loss) < 1e-5
        results.append((loss.detach(), x.grad))
    for loss, gradient in results[1:]:
        assert abs(loss - results[0][0]) < 1e-5
        assert torch.allclose(gradient, results[0][1], atol=1e-5)


@catches(SUBJECT, ".clamp_min(torch.finfo(probability.dtype).tiny)", "")
def test_extreme_logits_stay_finite():
    for scale in (0.0, 1e-3, 1.0, 1e4):
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            x = (scale * normal(0, 6, 4)).to(dtype).requires_grad_()
            loss = vector_entropy_loss(x, normal(1, 9, 4).to(dtype))
            loss.backward()
            assert loss.dtype == torch.float32
            assert torch.isfinite(loss)
            assert torch.isfinite(x.grad).all()


def test_the_range_is_kept():
    for seed in range(5):
        x = normal(seed, 12, 4)
        book = normal(seed + 9, 6, 4)
        for gamma in (0.0, 1.0, 2.0):
            value = vector_entropy_loss(x, book, codebook_weight=gamma)
            assert -gamma * math.log(6) - 1e-5 <= value <= (math.log(6) if gamma < 1 else 1e-5)


@given(tensors((5, 3)), tensors((4, 3)), st.floats(0.01, 10))
def test_both_entropies_lie_between_zero_and_log_k_and_the_mean_has_the_larger(z, book, temperature):
    sample, codebook = vector_entropy_terms(z, book, temperature=temperature)
    assert -1e-5 <= sample <= codebook + 1e-5
    assert codebook <= math.log(4) + 1e-5


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="temperature"):
        VectorEntropyLoss(temperature=-1.0)
    with pytest.raises(ValueError, match="codebook_weight"):
        VectorEntropyLoss(codebook_weight=-1.0)
    with pytest.raises(ValueError, match="codebook must have shape"):
        vector_entropy_loss(normal(0, 3, 4), torch.ones(5, 3))
