"""The float32 island, and unit length."""

import pytest
import torch
from hypothesis import given

from _support.float64 import unit64
from _support.mutants import catches
from _support.pretended_cuda import OnCuda
from _support.strategies import normal, tensors
from _support.tf32 import tf32_is_on, tf32_on
from vistok.quantizers._precision import autocast_off, unit

SUBJECT = "vistok.quantizers._precision"


@catches(SUBJECT, "enabled=False", "enabled=True")
def test_autocast_is_off_inside_and_on_again_behind():
    a = normal(0, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with autocast_off(a):
            assert (a @ a).dtype == torch.float32
        assert (a @ a).dtype == torch.bfloat16
        with autocast_off(a.to("meta")):
            pass


@catches(SUBJECT, "setattr(_MATMUL, _TF32, _OFF)", "pass")
@catches(SUBJECT, "finally:\n        setattr(_MATMUL, _TF32, _ON)", "finally:\n        pass")
@catches(SUBJECT, "if tensor.is_cuda and", "if")
def test_tf32_is_off_inside_on_cuda_and_on_again_behind():
    on_cpu, on_cuda = torch.ones(2), torch.ones(2).as_subclass(OnCuda)
    with tf32_on():
        with autocast_off(on_cpu):
            assert tf32_is_on()
        with autocast_off(on_cuda), autocast_off(on_cuda):
            assert not tf32_is_on()
        assert tf32_is_on()
        with pytest.raises(KeyError), autocast_off(on_cuda):
            raise KeyError
        assert tf32_is_on()
    with autocast_off(on_cuda):
        assert not tf32_is_on()
    assert not tf32_is_on()


@catches(SUBJECT, "with autocast:", "if True:")
def test_autocast_is_off_where_tf32_is_switched_off():
    a = normal(0, 4, 4)
    with tf32_on(), torch.autocast("cpu", dtype=torch.bfloat16), autocast_off(a.as_subclass(OnCuda)):
        assert (a @ a).dtype == torch.float32


@catches(SUBJECT, "and not torch.compiler.is_compiling() ", "")
def test_a_graph_that_is_compiled_keeps_the_setting(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with tf32_on(), autocast_off(torch.ones(2).as_subclass(OnCuda)):
        assert tf32_is_on()


@catches(SUBJECT, "torch.inf, length)", "torch.inf, length.square())")
def test_by_hand_and_in_float64():
    torch.testing.assert_close(unit(torch.tensor([6.0, 8.0])), torch.tensor([0.6, 0.8]))
    x = normal(0, 5, 3)
    torch.testing.assert_close(unit(x).double(), unit64(x), atol=1e-6, rtol=1e-6)


@catches(SUBJECT, "torch.inf, length)", "length, length)")
@given(tensors((3, 4), limit=2.0**40))
def test_length_is_one_or_zero_and_the_gradient_finite(x):
    x.requires_grad_()
    out = unit(x)
    length = out.norm(dim=-1)
    assert (length <= 1 + 1e-5).all()
    assert (length[x.norm(dim=-1) > 1e-6] >= 1 - 1e-5).all()
    assert not out[(x == 0).all(-1)].any()
    out.sum().backward()
    assert torch.isfinite(x.grad).all()


@catches(SUBJECT, "torch.where(length < SMALLEST_LENGTH, torch.inf, length)", "length.clamp_min(SMALLEST_LENGTH)")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_zero_vector_gets_no_gradient(dtype):
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1e-9, 0.0]], dtype=dtype, requires_grad=True)
    out = unit(x.float())
    (out * torch.tensor([1.0, -2.0])).sum().backward()
    assert out[0].tolist() == out[2].tolist() == [0.0, 0.0]
    assert x.grad[0].tolist() == x.grad[2].tolist() == [0.0, 0.0]
    torch.testing.assert_close(x.grad[1].float(), torch.tensor([0.32, -0.24]), atol=2e-3, rtol=1e-2)


@catches(SUBJECT, "SHRINK, 1.0)", "1.0, 1.0)")
@catches(SUBJECT, "2.0**-80", "2.0**-50")
@catches(SUBJECT, "2.0**-80", "2.0**-120")
def test_a_vector_whose_square_overflows_has_unit_length_and_a_finite_gradient():
    largest = torch.finfo(torch.float32).max
    x = torch.tensor([[3e20, -4e20], [largest, largest], [6e18, 8e18]]).requires_grad_()
    out = unit(x)
    torch.testing.assert_close(out, torch.tensor([[0.6, -0.8], [0.5**0.5, 0.5**0.5], [0.6, 0.8]]))
    (out * torch.tensor([1.0, -2.0])).sum().backward()
    torch.testing.assert_close(x.grad[0] * 1e20, torch.tensor([-0.064, -0.048]), atol=1e-5, rtol=1e-5)
    assert x.grad.isfinite().all()
    many = torch.full((1, 4096), 2.0**60)
    assert torch.equal(unit(many), unit(torch.ones(1, 4096)))


@catches(SUBJECT, "SHRINK, 1.0)", "SHRINK, 0.3)")
def test_no_ordinary_vector_is_touched():
    x, arriving = normal(0, 64, 7), normal(1, 64, 7)
    grads = []
    for function in (unit, lambda v: v / torch.linalg.vector_norm(v, dim=-1, keepdim=True)):
        leaf = x.clone().requires_grad_()
        out = function(leaf)
        grads.append((out.detach(), *torch.autograd.grad(out, leaf, arriving)))
    for a, b in zip(*grads, strict=True):
        assert torch.equal(a, b)


def test_an_infinite_component_is_no_direction():
    assert unit(torch.tensor([[torch.inf, 1.0], [torch.nan, 1.0]])).isnan().any(-1).all()
