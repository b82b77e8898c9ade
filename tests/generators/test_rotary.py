"""Turns of channel pairs by position."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import rotary_table_1d, rotary_table_2d, rotate
from vistok.generators.layers.rotary import behind_prefix, rotary_table

SUBJECT = "vistok.generators.layers.rotary"


@catches(SUBJECT, "* torch.view_as_complex(table.float())", "* torch.view_as_complex(table.float()).conj()")
def test_rotation_turns_pairs_by_position_times_frequency():
    table = rotary_table_1d(7, 4, base=100.0)
    x = torch.zeros(7, 4)
    x[:, 0] = 1
    x[:, 3] = 1
    turned = rotate(x, table)
    position = torch.arange(7.0)
    expected = torch.stack([position.cos(), position.sin(), -(position / 10).sin(), (position / 10).cos()], -1)
    torch.testing.assert_close(turned, expected)


@catches(SUBJECT, "odd * cos + even * sin", "odd * cos - even * sin")
@catches(SUBJECT, "turned.flatten(-2).to(x.dtype)", "turned.flatten(-2)")
def test_the_real_form_that_is_compiled_gives_the_same_values_and_gradients(monkeypatch):
    table = rotary_table_2d((3, 4), 8)
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(2, 12, 8, generator=seeded(4)).to(dtype).requires_grad_()
        found = []
        for compiled in (False, True):
            monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiled=compiled: compiled)
            out = rotate(x, table)
            found.append((out, *torch.autograd.grad(out.float().square().cumsum(-1).sum(), x)))
        assert {value.dtype for values in found for value in values} == {dtype}
        for value, other in zip(*found, strict=True):
            torch.testing.assert_close(value, other)


def test_rotated_products_depend_on_distance_only():
    rng = seeded(2)
    q, k = torch.randn(2, 8, generator=rng)
    table = rotary_table_1d(12, 8)
    products = rotate(q.expand(12, 8), table) @ rotate(k.expand(12, 8), table).T
    torch.testing.assert_close(products[3, 1], products[9, 7], atol=1e-5, rtol=1e-5)
    grid = rotary_table_2d((3, 4), 8)
    products = rotate(q.expand(12, 8), grid) @ rotate(k.expand(12, 8), grid).T
    torch.testing.assert_close(products[0, 5], products[6, 11], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(products[0, 1], products[0, 4], atol=1e-3)


@catches(SUBJECT, "torch.cat([row, column], dim=-2)", "torch.cat([column, row], dim=-2)")
def test_the_first_half_of_a_head_turns_with_the_row():
    table = rotary_table_2d((3, 4), 8).reshape(3, 4, 4, 2)
    torch.testing.assert_close(table[2, 1, :2], rotary_table_1d(3, 4)[2])
    torch.testing.assert_close(table[2, 1, 2:], rotary_table_1d(4, 4)[1])


@given(st.integers(1, 12), st.integers(0, 500))
def test_rotation_keeps_the_norm_of_every_pair(length, seed):
    x = torch.randn(length, 8, generator=seeded(seed))
    turned = rotate(x, rotary_table_1d(length, 8))
    before, after = (v.unflatten(-1, (4, 2)).norm(dim=-1) for v in (x, turned))
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)


@catches(SUBJECT, "prefix[..., 0] = 1", "prefix[..., 1] = 1")
@catches(SUBJECT, "torch.cat([prefix, table])", "torch.cat([table, prefix])")
def test_a_row_in_front_turns_nothing_or_takes_all():
    for shape, table in ((6, rotary_table_1d(6, 8)), ((2, 3), rotary_table_2d((2, 3), 8))):
        assert torch.equal(rotary_table(shape, 8), table)
        x = torch.randn(7, 8, generator=seeded(0))
        turned = rotate(x, behind_prefix(table))
        torch.testing.assert_close(turned[0], x[0])
        torch.testing.assert_close(turned[1:], rotate(x[1:], table))
        assert not rotate(x, behind_prefix(table, "zero"))[0].any()
