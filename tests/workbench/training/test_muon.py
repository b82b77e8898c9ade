"""Muon beside PyTorch's, its update worked out again in float64, and what it keeps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from _support.mutants import catches
from vistok.workbench.training.muon import Muon, orthogonalized

SUBJECT = "vistok.workbench.training.muon"


def weights(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def give_gradients(matrices, seed):
    generator = torch.Generator().manual_seed(seed)
    for matrix in matrices:
        matrix.grad = torch.randn(matrix.shape, generator=generator)


def by_singular_values(matrix):
    """The iteration acts on each singular value alone: the quintic five times, of the value over the norm."""
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.square().sum().sqrt()
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left @ torch.diag(values) @ right


@catches(SUBJECT, "beta=b, alpha=c", "beta=c, alpha=b")
@catches(SUBJECT, "_ITERATIONS = 5", "_ITERATIONS = 4")
@catches(SUBJECT, "return x.mT if tall else x", "return x")
@catches(SUBJECT, "keepdim=True)", "keepdim=True).mean()")
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.floats(1e-3, 1e3))
def test_it_acts_on_the_singular_values_of_each_matrix_alone(rows, columns, count, size):
    seeded = torch.Generator().manual_seed(rows + 10 * columns)
    given_matrices = size * torch.randn(count, rows, columns, generator=seeded)
    expected = torch.stack([by_singular_values(matrix) for matrix in given_matrices])
    with pytest.MonkeyPatch.context() as patch:  # bfloat16 has two digits, and the iteration multiplies its errors
        patch.setattr(f"{SUBJECT}.computes_in_bfloat16", lambda device: False)
        found = orthogonalized(given_matrices)
    torch.testing.assert_close(found.double(), expected, rtol=0.01, atol=0.01)


def test_singular_values_come_near_one():
    matrices = torch.randn(2, 24, 40, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalized(matrices).float())
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_a_matrix_of_zeros_stays_one():
    assert orthogonalized(torch.zeros(1, 3, 4)).eq(0).all()


@catches(SUBJECT, "if lower else", "if not lower else")
@pytest.mark.parametrize("lower", [False, True])
def test_it_computes_in_bfloat16_where_the_processor_does(monkeypatch, lower):
    monkeypatch.setattr(f"{SUBJECT}.computes_in_bfloat16", lambda device: lower)
    assert orthogonalized(torch.eye(3)[None]).dtype == (torch.bfloat16 if lower else torch.float32)


@catches(SUBJECT, "1 - rate * weight_decay", "1 + rate * weight_decay")
@catches(SUBJECT, "alpha=-rate * scale", "alpha=-rate")
@catches(SUBJECT, "max(matrix.shape)", "min(matrix.shape)")
@catches(SUBJECT, "lerp_(gradient, 1 - momentum)", "lerp_(gradient, momentum)")
@catches(SUBJECT, 'gradient.lerp(state["momentum_buffer"], momentum)', 'state["momentum_buffer"].clone()')
@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch has it since 2.9")
def test_it_is_pytorchs(monkeypatch):
    monkeypatch.setattr(f"{SUBJECT}.computes_in_bfloat16", lambda device: True)
    shapes = ((4, 6), (6, 4), (4, 6), (5, 5))
    ours, theirs = weights(*shapes), weights(*shapes)
    start = [matrix.detach().clone() for matrix in ours]
    options = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.3}
    optimizers = Muon(ours, **options), torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **options)
    for index in range(3):
        for matrices, optimizer in zip((ours, theirs), optimizers, strict=True):
            give_gradients(matrices, index)
            optimizer.step()
    for ours_after, theirs_after, before in zip(ours, theirs, start, strict=True):
        change = (theirs_after - before).norm()
        assert (ours_after - theirs_after).norm() < 0.02 * change


@catches(SUBJECT, "0.2 * max", "0.3 * max")
def test_one_step_worked_out_by_hand():
    """One value: 0.05 of the gradient and 0.95 of its 0.05; its sign is what is left, and five times the quintic."""
    value = 0.6964  # of 1, after 0.7010, 1.1136, 0.7207 and 1.0900
    matrix = nn.Parameter(torch.tensor([[2.0]]))
    matrix.grad = torch.tensor([[-7.0]])
    Muon([matrix], lr=0.1, weight_decay=0.5).step()
    assert matrix.item() == pytest.approx(2 * 0.95 + 0.1 * 0.2 * value, abs=2e-4)


@catches(SUBJECT, "if matrix.grad is not None:", "if True:")
def test_a_matrix_without_gradient_stays_as_it_is():
    one, other = weights((2, 3), (2, 3))
    before = other.detach().clone()
    give_gradients([one], 0)
    optimizer = Muon([one, other], weight_decay=0.1)
    optimizer.step()
    assert torch.equal(other, before)
    assert other not in optimizer.state
