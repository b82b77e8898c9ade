"""A stand-in for xformers that computes what its documentation says."""

import sys
import types

import pytest
import torch

from vistok.generators.layers import attention


class LowerTriangularMask:
    """Stands for the class of that name in xformers."""


def memory_efficient_attention(query, key, value, attn_bias=None, p=0.0):
    """Documented contract: (batch, tokens, heads, head size), an additive bias (batch, heads, queries, keys)."""
    logits = torch.einsum("bqhd,bkhd->bhqk", query.double(), key.double()) / query.shape[-1] ** 0.5
    if isinstance(attn_bias, LowerTriangularMask):
        logits = logits.masked_fill(~torch.ones(logits.shape[-2:], dtype=torch.bool).tril(), float("-inf"))
    elif attn_bias is not None:
        assert attn_bias.shape == logits.shape
        assert attn_bias.dtype == query.dtype
        assert attn_bias.stride(-1) == 1
        assert all(attn_bias.stride(axis) % 8 == 0 for axis in (-2, -3, -4))
        logits = logits + attn_bias
    return torch.einsum("bhqk,bkhd->bqhd", logits.softmax(-1), value.double()).to(query.dtype)


@pytest.fixture
def stand_in(monkeypatch):
    package, ops = types.ModuleType("xformers"), types.ModuleType("xformers.ops")
    ops.memory_efficient_attention, ops.LowerTriangularMask = memory_efficient_attention, LowerTriangularMask
    package.ops = ops
    monkeypatch.setitem(sys.modules, "xformers", package)
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)
    return ops


@pytest.fixture
def on_any_device(stand_in, monkeypatch):
    """The stand-in computes on the CPU, too."""
    monkeypatch.setattr(attention, "check_xformers_device", lambda *_: None)
    return stand_in
