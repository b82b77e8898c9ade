"""Which kernels attend: PyTorch's, or xformers' by name; a stand-in computes what xformers documents."""

import builtins
import sys
import types
from importlib import import_module

import pytest
import torch

from _support import far_checks, masked_checks, xar_checks
from _support.mutants import mutated
from vistok import generators as g

LABELS = torch.tensor([1, 4, 2])
CUDA = torch.device("cuda")


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
    monkeypatch.setattr(import_module("vistok.generators.attention"), "check_xformers_device", lambda *_: None)
    return stand_in


def refuse_import(monkeypatch, error):
    real = builtins.__import__

    def fake(name, *arguments, **options):
        if name.startswith("xformers"):
            raise error
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", fake)


def masks(queries, keys):
    square = torch.rand(queries, keys, generator=torch.Generator().manual_seed(1)) < 0.5
    square[:, 0] = True
    yield square
    yield square.expand(2, 1, queries, keys)
    yield square.expand(1, 3, queries, keys)
    yield torch.ones(queries, 1, dtype=torch.bool)


def a_mask_gives_the_same_by_both_and_its_rows_are_aligned(package):
    xformers_attention = import_module("vistok.generators._xformers_attention").xformers_attention
    query = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    for keys in (1, 5, 8, 11):
        key, value = torch.randn(2, 2, 3, keys, 8, generator=torch.Generator().manual_seed(2))
        for mask in masks(5, keys):
            for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2)):
                parts = [part.to(dtype) for part in (query, key, value)]
                expected = package.attention(*parts, mask=mask)
                got = xformers_attention(*parts, mask, False, 0.0)
                torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)


def test_a_mask_gives_the_same_by_both_and_its_rows_are_aligned(stand_in):
    a_mask_gives_the_same_by_both_and_its_rows_are_aligned(g)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-(-keys // _ROW_MULTIPLE) * _ROW_MULTIPLE)", "keys)"),
        ("query.new_zeros(", "torch.zeros("),
        ("masked_fill_(~mask", "masked_fill_(mask"),
        ("bias.expand(*query.shape[:-1], keys)", "bias"),
    ],
)
def test_a_planted_bug_in_the_mask_is_caught(stand_in, old, new):
    with mutated("vistok.generators", "_xformers_attention", old, new) as package:
        with pytest.raises((AssertionError, RuntimeError)):
            a_mask_gives_the_same_by_both_and_its_rows_are_aligned(package)


@pytest.mark.parametrize("causal", [False, True])
def test_both_backends_agree_without_a_mask(on_any_device, causal):
    query, key, value = torch.randn(3, 2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    expected = g.attention(query, key, value, causal=causal)
    torch.testing.assert_close(g.attention(query, key, value, causal=causal, backend="xformers"), expected)


def models():
    yield xar_checks.network, torch.randn(3, 3, 4, 8)
    yield far_checks.network, far_checks.tokens_for(far_checks.network(g))
    yield masked_checks.network, masked_checks.tokens_for(masked_checks.network(g))


def test_a_model_takes_the_kernels_that_its_options_name(on_any_device, monkeypatch):
    calls = []

    def counted(*arguments, **options):
        calls.append(options)
        return memory_efficient_attention(*arguments, **options)

    monkeypatch.setattr(on_any_device, "memory_efficient_attention", counted)
    for network, data in models():
        plain, asked = (network(g, attention=backend) for backend in ("sdpa", "xformers"))
        losses = []
        for model, backend in ((plain, "sdpa"), (asked, "xformers")):
            calls.clear()
            losses.append(model.loss(data, LABELS, generator=torch.Generator().manual_seed(0)))
            assert bool(calls) == (backend == "xformers")
        torch.testing.assert_close(*losses, atol=1e-5, rtol=1e-5)


def test_the_double_stream_takes_the_kernels_that_it_is_asked_for(on_any_device, monkeypatch):
    torch.manual_seed(0)
    block = g.DoubleStreamBlock(16, 2, conditioned=False, backend="xformers")
    streams = torch.randn(1, 6, 16), torch.randn(1, 3, 16)
    got = block(*streams)
    block.backend = "sdpa"
    for part, expected in zip(got, block(*streams), strict=True):
        torch.testing.assert_close(part, expected, atol=1e-5, rtol=1e-5)
    block.backend = "xformers"
    monkeypatch.setattr(on_any_device, "memory_efficient_attention", None)
    with pytest.raises(TypeError):
        block(*streams)


def test_nothing_takes_xformers_that_does_not_name_it(monkeypatch):
    refuse_import(monkeypatch, AssertionError("imported"))
    for network, data in models():
        model = network(g)
        assert all(block.backend == "sdpa" for block in model.modules() if hasattr(block, "backend"))
        model.loss(data, LABELS)


BUILDERS = [
    lambda: g.XAR(2, 4, 2, 3, width=16, depth=2, num_heads=2, options=g.XAROptions(attention="xformers")),
    lambda: g.FAR((4,), 2, 3, width=16, depth=1, num_heads=2, options=g.FAROptions(attention="xformers")),
    lambda: g.MaskedAR(
        g.IdTokens((4,)), 16, 3, width=16, depth=1, num_heads=2, options=g.MaskedAROptions(attention="xformers")
    ),
]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'xformers'"), "ModuleNotFoundError: No module named 'xformers'"),
        (ImportError("undefined symbol:\n  _ZN3c10"), "ImportError: undefined symbol: _ZN3c10"),
        (OSError("libcudart.so.12: cannot open"), "OSError: libcudart.so.12: cannot open"),
        (AttributeError("module 'torch' has no attribute 'x'"), "AttributeError: module 'torch'"),
    ],
)
@pytest.mark.parametrize("build", BUILDERS)
def test_a_model_says_when_it_is_built_that_xformers_cannot_be_imported(build, error, reason, monkeypatch):
    refuse_import(monkeypatch, error)
    with pytest.raises(
        ValueError, match=r"^attention must be 'sdpa' where xformers cannot be imported, got "
    ) as caught:
        build()
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("build", BUILDERS)
def test_a_model_for_xformers_can_be_built_anywhere_and_says_that_it_runs_on_cuda_only(build, stand_in):
    model = build()
    with pytest.raises(ValueError, match=r"^backend must be 'sdpa' for tensors on cpu, got 'xformers'"):
        model.sample(torch.tensor([1]))


def test_on_the_meta_device_both_give_the_shape(stand_in):
    query, key, value = torch.zeros(3, 2, 3, 5, 8, device="meta")
    assert g.attention(query, key, value, backend="xformers").shape == query.shape


@pytest.mark.parametrize(
    ("capability", "dtype", "masked", "refused"),
    [
        ((8, 0), torch.float32, True, None),
        ((9, 0), torch.float32, True, None),
        ((10, 0), torch.bfloat16, False, None),
        ((10, 0), torch.float32, False, r"torch\.float32 on a device of compute capability 10\.0"),
        ((12, 0), torch.bfloat16, True, r"a mask on a device of compute capability 12\.0"),
    ],
)
def test_new_devices_have_no_kernel_for_float32_nor_for_a_mask(
    stand_in, monkeypatch, capability, dtype, masked, refused
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    if refused is None:
        g.check_attention_backend("xformers", CUDA, dtype=dtype, masked=masked)
        return
    with pytest.raises(ValueError, match=f"backend must be 'sdpa' for {refused}, got 'xformers'") as caught:
        g.check_attention_backend("xformers", CUDA, dtype=dtype, masked=masked)
    assert "\n" not in str(caught.value)


def test_what_xformers_has_no_kernel_for_is_told_in_one_line(on_any_device, monkeypatch):
    def without_kernels(*_, **__):
        raise NotImplementedError("No operator found for\n  query: ...\n  `ckF` is not supported because:")

    monkeypatch.setattr(on_any_device, "memory_efficient_attention", without_kernels)
    with pytest.raises(ValueError, match=r"'sdpa' for torch.float32 queries of shape \(1, 1, 2, 4\) on cpu") as caught:
        g.attention(*torch.zeros(3, 1, 1, 2, 4), backend="xformers")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA and xformers")
@pytest.mark.parametrize("kind", ["plain", "causal", "mask"])
def test_both_backends_agree_on_cuda(kind):
    pytest.importorskip("xformers")
    options = {"plain": {}, "causal": {"causal": True}, "mask": {"mask": g.block_causal_mask(3, 7).cuda()}}[kind]
    query, key, value = torch.randn(3, 2, 4, 21, 64, device="cuda", dtype=torch.float16)
    expected = g.attention(query, key, value, backend="sdpa", **options)
    got = g.attention(query, key, value, backend="xformers", **options)
    torch.testing.assert_close(got, expected, atol=2e-3, rtol=2e-3)
