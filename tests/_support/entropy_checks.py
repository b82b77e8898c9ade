"""Checks of the entropy terms; each takes the package, so that a planted bug can be put under it."""

import importlib
import math
from itertools import product
from types import ModuleType

import torch
from torch import Tensor

from _support.strategies import normal


def _terms(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    sample = -(probabilities * probabilities.clamp_min(1e-300).log()).sum(1).mean()
    mean = probabilities.mean(0)
    return sample, -(mean * mean.clamp_min(1e-300).log()).sum()


def _dense(u: Tensor, corners: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    return _terms((2 * u @ corners.T / temperature).softmax(1))


def _corners(count: int) -> Tensor:
    return torch.tensor(list(product((-1.0, 1.0), repeat=count))).double()


def vector_terms_are_those_of_all_codes(losses: ModuleType) -> None:
    for temperature in (0.05, 1.0):
        z, book = normal(0, 2, 3, 5).requires_grad_(), normal(1, 7, 3).requires_grad_()
        z64, book64 = (x.detach().double().requires_grad_() for x in (z, book))
        distance = torch.cdist(z64.movedim(1, -1).reshape(-1, 3), book64).square()
        sample, codebook = _terms((-distance / temperature).softmax(1))
        terms = losses.vector_entropy_terms(z, book, temperature=temperature)
        assert abs(terms.sample - sample) < 1e-5
        assert abs(terms.codebook - codebook) < 1e-5
        loss = losses.VectorEntropyLoss(temperature=temperature, codebook_weight=0.7)(z, book)
        assert abs(loss - (sample - 0.7 * codebook)) < 1e-5
        loss.backward()
        (sample - 0.7 * codebook).backward()
        assert torch.allclose(z.grad.double(), z64.grad, atol=1e-5)
        assert torch.allclose(book.grad.double(), book64.grad, atol=1e-5)
        last = losses.vector_entropy_terms(z.movedim(1, -1), book, temperature=temperature, channel_dim=-1)
        assert abs(last.sample - sample) < 1e-5


def bit_terms_are_those_of_all_corners(losses: ModuleType) -> None:
    for count in (1, 2, 5, 6):
        for temperature in (0.1, 1.0):
            u = (0.3 * normal(count, 2, count, 6)).requires_grad_()
            u64 = u.detach().double().requires_grad_()
            tokens = u64.movedim(1, -1).reshape(-1, count)
            sample, codebook = _dense(tokens, _corners(count), temperature)
            loss = losses.LookupFreeEntropyLoss(temperature=temperature, codebook_weight=0.7)(u)
            assert abs(loss - (sample - 0.7 * codebook)) < 1e-5
            loss.backward()
            (sample - 0.7 * codebook).backward()
            assert torch.allclose(u.grad.double(), u64.grad, atol=1e-5)


def sphere_terms_are_those_of_all_corners(losses: ModuleType) -> None:
    for count in (3, 4):
        v = normal(count, 9, count).requires_grad_()
        v64 = v.detach().double().requires_grad_()
        u = v64 / v64.norm(dim=1, keepdim=True)
        sample, codebook = _dense(u, _corners(count) / math.sqrt(count), 0.2)
        loss = losses.BinarySphericalEntropyLoss(temperature=0.2, codebook_weight=0.7)(v)
        assert abs(loss - (sample - 0.7 * codebook)) < 1e-5
        loss.backward()
        (sample - 0.7 * codebook).backward()
        assert torch.allclose(v.grad.double(), v64.grad, atol=1e-5)
        scaled = losses.binary_spherical_entropy_loss(7 * v, temperature=0.2, codebook_weight=0.7)
        assert abs(scaled - loss) < 1e-5


def groups_add_up(losses: ModuleType) -> None:
    u = 0.2 * normal(0, 11, 5)
    terms = losses.bit_entropy_terms(u, group_bits=2)
    parts = [losses.bit_entropy_terms(part) for part in (u[:, :2], u[:, 2:4], u[:, 4:])]
    assert abs(terms.codebook - sum(part.codebook for part in parts)) < 1e-5
    assert abs(terms.sample - sum(part.sample for part in parts)) < 1e-5
    assert terms.codebook >= losses.bit_entropy_terms(u).codebook - 1e-6
    p = torch.sigmoid(u.double()).mean(0)
    marginal = -(p * p.log() + (1 - p) * (1 - p).log()).sum()
    assert abs(losses.bit_entropy_terms(u, group_bits=1).codebook - marginal) < 1e-5


def bits_by_hand(losses: ModuleType) -> None:
    """One fair bit and one bit at 3 to 1: log 2 plus the entropy of (3/4, 1/4)."""
    logits = torch.tensor([[0.0, math.log(3.0)]])
    wanted = math.log(2) - 0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    terms = losses.bit_entropy_terms(logits)
    assert abs(terms.sample - wanted) < 1e-6
    assert abs(terms.codebook - wanted) < 1e-6
    half = losses.lookup_free_entropy_loss(torch.tensor([[math.log(3.0)]]), temperature=4.0, codebook_weight=0.0)
    assert abs(half - (wanted - math.log(2))) < 1e-6


def token_blocks_change_nothing(losses: ModuleType) -> None:
    for name, call in (
        ("entropy", lambda x: losses.vector_entropy_loss(x, normal(1, 7, 4))),
        ("bit_entropy", lambda x: losses.lookup_free_entropy_loss(0.05 * x, group_bits=3)),
    ):
        module = importlib.import_module(f"vistok.losses.{name}")
        results = []
        usual = module._BLOCK_ELEMENTS
        try:
            for elements in (usual, 40, 1):
                module._BLOCK_ELEMENTS = elements
                x = normal(0, 9, 4).requires_grad_()
                loss = call(x)
                loss.backward()
                with torch.no_grad():
                    assert abs(call(x) - loss) < 1e-5
                results.append((loss.detach(), x.grad))
        finally:
            module._BLOCK_ELEMENTS = usual
        for loss, gradient in results[1:]:
            assert abs(loss - results[0][0]) < 1e-5
            assert torch.allclose(gradient, results[0][1], atol=1e-5)


def extreme_logits_stay_finite(losses: ModuleType) -> None:
    for scale in (0.0, 1e-3, 1.0, 1e4):
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            for call in (
                lambda x: losses.vector_entropy_loss(x, normal(1, 9, 4).to(x.dtype)),
                losses.lookup_free_entropy_loss,
                losses.binary_spherical_entropy_loss,
            ):
                x = (scale * normal(0, 6, 4)).to(dtype).requires_grad_()
                loss = call(x)
                loss.backward()
                assert loss.dtype == torch.float32
                assert torch.isfinite(loss)
                assert torch.isfinite(x.grad).all()


def the_range_is_kept(losses: ModuleType) -> None:
    for seed in range(5):
        x = normal(seed, 12, 4)
        book = normal(seed + 9, 6, 4)
        for gamma in (0.0, 1.0, 2.0):
            value = losses.vector_entropy_loss(x, book, codebook_weight=gamma)
            assert -gamma * math.log(6) - 1e-5 <= value <= (math.log(6) if gamma < 1 else 1e-5)
            value = losses.lookup_free_entropy_loss(x, codebook_weight=gamma, temperature=3.0)
            assert -gamma * 4 * math.log(2) - 1e-5 <= value <= (4 * math.log(2) if gamma < 1 else 1e-5)


CHECKS = [
    vector_terms_are_those_of_all_codes,
    bit_terms_are_those_of_all_corners,
    sphere_terms_are_those_of_all_corners,
    groups_add_up,
    bits_by_hand,
    token_blocks_change_nothing,
    extreme_logits_stay_finite,
    the_range_is_kept,
]
