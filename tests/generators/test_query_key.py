"""Queries and keys, normalised and turned in one operation."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import rotary_table_1d
from vistok.generators.layers._query_key import normalise_and_rotate

SUBJECT = "vistok.generators.layers._query_key"


def by_definition(x, gains, table):
    """In float64, with autograd's gradient: divide by the root mean square, stretch, turn neighbours by the angle."""
    y = x / (x.square().mean(-1, keepdim=True) + 1e-3).sqrt() * gains[None, None, :, None]
    if table is None:
        return y
    cos, sin = (part[None, :, None, None] for part in table.double().unbind(-1))
    even, odd = y[..., ::2], y[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)


def case(batch, tokens, dtype, seed):
    """As the block gives them: two of three parts of one projection."""
    rng = seeded(seed)
    x = torch.randn(batch, tokens, 3, 2, 6, generator=rng)[:, :, :2].to(dtype)
    return x, 0.5 + torch.rand(2, 6, generator=rng), torch.randn(batch, tokens, 2, 2, 6, generator=rng).to(dtype)


def with_gradients(function, x, gains, table, outer):
    x, gains = x.detach().requires_grad_(), gains.detach().requires_grad_()
    out = function(x, gains, table)
    return out, *torch.autograd.grad(out, (x, gains), outer.to(out.dtype))


def ours(x, gains, table):
    return normalise_and_rotate(x, gains, table, eps=1e-3)


@catches(SUBJECT, "_OnCPU.apply(x, gains, table, eps)", "_OnCPU.apply(x, gains, table, 1e-8)")
@catches(SUBJECT, "x.shape[-1:], None, eps) * gains.float()[:, None]", "x.shape[-1:], None, eps) * gains.float()")
@catches(SUBJECT, "norm.square_() / x.shape[-1]", "norm.square_()")
@catches(SUBJECT, "turns.conj() if inverse else turns", "turns")
@catches(SUBJECT, "products.T @ inverse.flatten()", "products.sum(0)")
@catches(SUBJECT, "inverse.square()).div_(x.shape[-1])", "inverse.square())")
@catches(SUBJECT, "mul_(inverse.square())", "mul_(inverse)")
@catches(SUBJECT, "outer.mul_(gain).addcmul_", "outer.addcmul_")
@catches(SUBJECT, "_wide(x[:, :, place]), _turn_", "_wide(x[:, :, 0]), _turn_")
@catches(SUBJECT, " and not torch.compiler.is_compiling()", "")
def test_it_follows_its_equation_and_so_do_its_gradients_by_hand_and_compiled(monkeypatch):
    x, gains, outer = case(2, 5, torch.float32, 1)
    for table in (rotary_table_1d(5, 6), None):
        expected = with_gradients(by_definition, x.double(), gains.double(), table, outer)
        for compiling in (False, True):
            monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
            found = with_gradients(ours, x, gains, table, outer)
            for value, right in zip(found, expected, strict=True):
                torch.testing.assert_close(value.double(), right, atol=1e-5, rtol=1e-5)
            assert ("_OnCPU" in type(found[0].grad_fn).__name__) != compiling


@given(st.integers(1, 3), st.integers(1, 7), st.integers(0, 99))
def test_in_bfloat16_only_input_and_output_are_rounded(batch, tokens, seed):
    x, gains, outer = case(batch, tokens, torch.bfloat16, seed)
    table = rotary_table_1d(tokens, 6)
    found, exact = (with_gradients(ours, given, gains, table, outer) for given in (x, x.float()))
    assert found[0].dtype == found[1].dtype == torch.bfloat16
    for value, right in zip(found, exact, strict=True):
        torch.testing.assert_close(value, right.to(value.dtype), atol=1e-6, rtol=2**-7)


@catches(SUBJECT, "if torch.is_grad_enabled():", "if False:")
def test_its_gradient_can_be_differentiated_again():
    x, gains, outer = case(1, 3, torch.float32, 5)
    table, found = rotary_table_1d(3, 6), []
    for function, dtype in ((ours, torch.float32), (by_definition, torch.float64)):
        inputs = [part.to(dtype).requires_grad_() for part in (x, gains)]
        first = torch.autograd.grad(function(*inputs, table), inputs, outer.to(dtype), create_graph=True)
        found.append(torch.autograd.grad(sum(part.square().sum() for part in first), inputs))
    for value, right in zip(*found, strict=True):
        torch.testing.assert_close(value.double(), right, atol=1e-4, rtol=1e-4)
