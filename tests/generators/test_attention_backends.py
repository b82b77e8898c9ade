"""The xformers path hands over the right layout and bias; a stand-in computes what xformers documents."""

import sys
import types

import pytest
import torch

from vistok import generators as g


class LowerTriangularMask:
    """Stands for the class of that name in xformers."""


def memory_efficient_attention(query, key, value, attn_bias=None, p=0.0):
    """Documented contract: (batch, tokens, heads, head size), an additive bias (batch, heads, queries, keys)."""
    logits = torch.einsum("bqhd,bkhd->bhqk", query.double(), key.double()) / query.shape[-1] ** 0.5
    if isinstance(attn_bias, LowerTriangularMask):
        logits = logits.masked_fill(~torch.ones(logits.shape[-2:], dtype=torch.bool).tril(), float("-inf"))
    elif attn_bias is not None:
        assert attn_bias.shape == logits.shape
        logits = logits + attn_bias
    return torch.einsum("bhqk,bkhd->bqhd", logits.softmax(-1), value.double()).to(query.dtype)


@pytest.fixture
def stand_in(monkeypatch):
    package, ops = types.ModuleType("xformers"), types.ModuleType("xformers.ops")
    ops.memory_efficient_attention, ops.LowerTriangularMask = memory_efficient_attention, LowerTriangularMask
    package.ops = ops
    monkeypatch.setitem(sys.modules, "xformers", package)
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)


@pytest.mark.parametrize("kind", ["plain", "causal", "mask"])
def test_both_backends_agree(stand_in, kind):
    query, key, value = torch.randn(3, 2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    options = {"plain": {}, "causal": {"causal": True}, "mask": {"mask": g.block_causal_mask(5, 1)}}[kind]
    expected = g.attention(query, key, value, backend="sdpa", **options)
    torch.testing.assert_close(g.attention(query, key, value, backend="xformers", **options), expected)


def test_tensors_on_the_cpu_never_go_to_xformers(stand_in, monkeypatch):
    monkeypatch.setattr(sys.modules["xformers.ops"], "memory_efficient_attention", None)
    g.attention(*torch.zeros(3, 1, 1, 2, 4))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA and xformers")
def test_both_backends_agree_on_cuda():
    pytest.importorskip("xformers")
    query, key, value = torch.randn(3, 2, 4, 64, 64, device="cuda", dtype=torch.float16)
    expected = g.attention(query, key, value, backend="sdpa", causal=True)
    got = g.attention(query, key, value, backend="xformers", causal=True)
    torch.testing.assert_close(got, expected, atol=2e-3, rtol=2e-3)
