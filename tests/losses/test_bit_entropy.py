"""Entropy terms of free bits; across ranks they are in test_distributed.py."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import entropies64, unit64
from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import (
    BinarySphericalEntropyLoss,
    LookupFreeEntropyLoss,
    binary_spherical_entropy_loss,
    bit_entropy,
    bit_entropy_terms,
    lookup_free_entropy_loss,
)

SUBJECT = "vistok.losses.bit_entropy"


def corners(count):
    return torch.tensor(list(product((-1.0, 1.0), repeat=count))).double()


def dense(u, codes, temperature):
    """Both terms with all 2^L codes written out."""
    return entropies64((2 * u @ codes.T / temperature).softmax(1))


@catches(SUBJECT, "widen(u) * (4.0 / temperature)", "widen(u) * (2.0 / temperature)")
@catches(SUBJECT, ".to(logits.dtype) - 0.5", ".to(logits.dtype) * 2 - 1")
def test_the_terms_of_bits_are_those_of_all_corners():
    for count in (1, 2, 5, 6):
        for temperature in (0.1, 1.0):
            u = (0.3 * normal(count, 2, count, 6)).requires_grad_()
            u64 = u.detach().double().requires_grad_()
            tokens = u64.movedim(1, -1).reshape(-1, count)
            sample, codebook = dense(tokens, corners(count), temperature)
            loss = LookupFreeEntropyLoss(temperature=temperature, codebook_weight=0.7)(u)
            assert abs(loss - (sample - 0.7 * codebook)) < 1e-5
            loss.backward()
            (sample - 0.7 * codebook).backward()
            assert torch.allclose(u.grad.double(), u64.grad, atol=1e-5)


@catches(SUBJECT, "temperature * v.shape[channel_dim] ** 0.5", "temperature")
def test_the_terms_on_the_sphere_are_those_of_all_corners():
    for count in (3, 4):
        v = normal(count, 9, count).requires_grad_()
        v64 = v.detach().double().requires_grad_()
        sample, codebook = dense(unit64(v64), corners(count) / math.sqrt(count), 0.2)
        loss = BinarySphericalEntropyLoss(temperature=0.2, codebook_weight=0.7)(v)
        assert abs(loss - (sample - 0.7 * codebook)) < 1e-5
        loss.backward()
        (sample - 0.7 * codebook).backward()
        assert torch.allclose(v.grad.double(), v64.grad, atol=1e-5)
        scaled = binary_spherical_entropy_loss(7 * v, temperature=0.2, codebook_weight=0.7)
        assert abs(scaled - loss) < 1e-5


@catches(SUBJECT, "plogp(ones / ones.sum(dim=0).detach())", "plogp(ones)")
@catches(SUBJECT, "codebook = codebook - plogp", "codebook = -plogp")
def test_groups_add_up():
    u = 0.2 * normal(0, 11, 5)
    terms = bit_entropy_terms(u, group_bits=2)
    parts = [bit_entropy_terms(part) for part in (u[:, :2], u[:, 2:4], u[:, 4:])]
    assert abs(terms.codebook - sum(part.codebook for part in parts)) < 1e-5
    assert abs(terms.sample - sum(part.sample for part in parts)) < 1e-5
    assert terms.codebook >= bit_entropy_terms(u).codebook - 1e-6
    p = torch.sigmoid(u.double()).mean(0)
    marginal = -(p * p.log() + (1 - p) * (1 - p).log()).sum()
    assert abs(bit_entropy_terms(u, group_bits=1).codebook - marginal) < 1e-5


@catches(SUBJECT, "F.softplus(-distance) + distance", "F.softplus(distance) + distance")
def test_bits_by_hand():
    """One fair bit and one bit at 3 to 1: log 2 plus the entropy of (3/4, 1/4)."""
    logits = torch.tensor([[0.0, math.log(3.0)]])
    wanted = math.log(2) - 0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    terms = bit_entropy_terms(logits)
    assert abs(terms.sample - wanted) < 1e-6
    assert abs(terms.codebook - wanted) < 1e-6
    half = lookup_free_entropy_loss(torch.tensor([[math.log(3.0)]]), temperature=4.0, codebook_weight=0.0)
    assert abs(half - (wanted - math.log(2))) < 1e-6


def test_token_blocks_change_nothing(monkeypatch):
    results = []
    for elements in (bit_entropy._BLOCK_ELEMENTS, 40, 1):
        monkeypatch.setattr(bit_entropy, "_BLOCK_ELEMENTS", elements)
        x = normal(0, 9, 4).requires_grad_()
        loss = lookup_free_entropy_loss(0.05 * x, group_bits=3)
        loss.backward()
        with torch.no_grad():
            assert abs(lookup_free_entropy_loss(0.05 * x, group_bits=3) - loss) < 1e-5
        results.append((loss.detach(), x.grad))
    for loss, gradient in results[1:]:
        assert abs(loss - results[0][0]) < 1e-5
        assert torch.allclose(gradient, results[0][1], atol=1e-5)


@catches(
    SUBJECT, "unit_directions(widen(v), dim=channel_dim)", "widen(v) / widen(v).norm(dim=channel_dim, keepdim=True)"
)
def test_extreme_logits_stay_finite():
    for scale in (0.0, 1e-3, 1.0, 1e4):
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            for call in (lookup_free_entropy_loss, binary_spherical_entropy_loss):
                x = (scale * normal(0, 6, 4)).to(dtype).requires_grad_()
                loss = call(x)
                loss.backward()
                assert loss.dtype == torch.float32
                assert torch.isfinite(loss)
                assert torch.isfinite(x.grad).all()


@catches(SUBJECT, "widen(logits).clamp(-_SUREST_LOGIT, _SUREST_LOGIT)", "widen(logits)")
@catches(SUBJECT, "_SUREST_LOGIT = 1e4", "_SUREST_LOGIT = 1.0")
def test_the_largest_finite_values_are_sure_bits():
    """Two tokens of four bits that differ in one: nothing is unsure, and one bit is fair on the average."""
    for size, group_bits in product((10.0, 1e30, 1e36, 3e38), (None, 1, 2)):
        u = (size * torch.tensor([[1.0, -1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])).requires_grad_()
        loss = lookup_free_entropy_loss(u, group_bits=group_bits)
        loss.backward()
        assert loss.item() == pytest.approx(-math.log(2))
        assert not u.grad.any()


def test_the_range_is_kept():
    for seed in range(5):
        x = normal(seed, 12, 4)
        for gamma in (0.0, 1.0, 2.0):
            value = lookup_free_entropy_loss(x, codebook_weight=gamma, temperature=3.0)
            assert -gamma * 4 * math.log(2) - 1e-5 <= value <= (4 * math.log(2) if gamma < 1 else 1e-5)


@given(tensors((5, 4)), st.integers(1, 4))
def test_both_entropies_lie_between_zero_and_the_bits_and_the_mean_has_the_larger(logits, group_bits):
    sample, codebook = bit_entropy_terms(logits, group_bits=group_bits)
    assert -1e-5 <= sample <= codebook + 1e-4
    assert codebook <= 4 * math.log(2) + 1e-4


def test_the_gradient_on_the_sphere_is_orthogonal_to_each_token_and_zero_for_a_zero_token():
    v = normal(0, 6, 4)
    v[2] = 0
    v.requires_grad_()
    binary_spherical_entropy_loss(v, temperature=0.5).backward()
    assert v.grad[0].any()
    assert not v.grad[2].any()
    assert (v.grad * v).sum(1).abs().max() < 1e-6


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="group_bits"):
        LookupFreeEntropyLoss(group_bits=25)
    with pytest.raises(ValueError, match="group_bits"):
        lookup_free_entropy_loss(torch.ones(1, 25))
    with pytest.raises(ValueError, match="channel_dim"):
        binary_spherical_entropy_loss(normal(0, 3, 4), channel_dim=0)
