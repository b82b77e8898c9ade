"""Softmax attention, by whichever kernels."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import attention, block_causal_mask

SUBJECT = "vistok.generators.layers.attention"


@catches(SUBJECT, "attn_mask=mask, is_causal=causal", "attn_mask=mask")
def test_attention_is_the_softmax_average():
    rng = seeded(0)
    q, k, v = torch.randn(3, 2, 3, 5, 4, generator=rng)
    mask = torch.rand(5, 5, generator=rng) < 0.5
    mask.fill_diagonal_(True)
    for chosen, options in ((mask, {"mask": mask}), (torch.ones(5, 5).tril().bool(), {"causal": True})):
        logits = (q.double() @ k.double().mT / 2).masked_fill(~chosen, -math.inf)
        expected = logits.softmax(-1) @ v.double()
        torch.testing.assert_close(attention(q, k, v, **options).double(), expected, atol=1e-5, rtol=1e-5)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3), st.booleans())
def test_attention_is_a_convex_combination_of_values(queries, keys, heads, masked):
    rng = seeded(queries * 100 + keys)
    query = torch.randn(2, heads, queries, 4, generator=rng)
    key, value = torch.randn(2, 2, heads, keys, 4, generator=rng)
    mask = torch.ones(queries, keys, dtype=torch.bool)
    if masked and keys > 1:
        mask[:, -1] = False
    out = attention(query, key, value, mask=mask)
    seen = value[:, :, : keys - 1] if masked and keys > 1 else value
    assert (out <= seen.amax(2, keepdim=True) + 1e-5).all()
    assert (out >= seen.amin(2, keepdim=True) - 1e-5).all()


@catches(SUBJECT, "if mask is not None and causal:", "if False:")
@catches(SUBJECT, "check_choice(name, backend, _BACKENDS)", "check_choice(name, backend, (*_BACKENDS, backend))")
def test_a_mask_and_a_causal_one_together_and_unknown_kernels_are_refused():
    parts = torch.zeros(3, 1, 1, 2, 4)
    with pytest.raises(ValueError, match=r"^attention: give mask or causal, not both$"):
        attention(*parts, mask=torch.ones(2, 2).bool(), causal=True)
    with pytest.raises(ValueError, match=r"^backend must be 'sdpa' or 'xformers', got 'flash'$"):
        attention(*parts, backend="flash")


@pytest.mark.parametrize("causal", [False, True])
def test_both_backends_agree_without_a_mask(on_any_device, causal):
    query, key, value = torch.randn(3, 2, 3, 5, 8, generator=seeded(0))
    expected = attention(query, key, value, causal=causal)
    torch.testing.assert_close(attention(query, key, value, causal=causal, backend="xformers"), expected)


def test_on_the_meta_device_both_give_the_shape(stand_in):
    query, key, value = torch.zeros(3, 2, 3, 5, 8, device="meta")
    assert attention(query, key, value, backend="xformers").shape == query.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA and xformers")
@pytest.mark.parametrize("kind", ["plain", "causal", "mask"])
def test_both_backends_agree_on_cuda(kind):
    pytest.importorskip("xformers")
    options = {"plain": {}, "causal": {"causal": True}, "mask": {"mask": block_causal_mask(3, 7).cuda()}}[kind]
    query, key, value = torch.randn(3, 2, 4, 21, 64, device="cuda", dtype=torch.float16)
    expected = attention(query, key, value, backend="sdpa", **options)
    got = attention(query, key, value, backend="xformers", **options)
    torch.testing.assert_close(got, expected, atol=2e-3, rtol=2e-3)


def chosen_by(monkeypatch, *parts, **options):
    """The output, and which dtype PyTorch's kernels were given, or None where plain products served."""
    seen, original = [], F.scaled_dot_product_attention

    def watched(query, key, value, **rest):
        seen.append((query.dtype, key.dtype, value.dtype))
        return original(query, key, value, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(F, "scaled_dot_product_attention", watched)
        return attention(*parts, **options), seen[0] if seen else None


@catches(SUBJECT, "query.shape[-1] ** -0.5", "query.shape[-1] ** -1")
@catches(SUBJECT, "masked_fill_(~mask, -math.inf)", "masked_fill_(mask, -math.inf)")
@catches(SUBJECT, "device=query.device).tril()", "device=query.device).triu()")
@catches(SUBJECT, "F.dropout(logits.softmax(dim=-1), dropout) @ value", "logits.softmax(dim=-1) @ value")
@catches(SUBJECT, 'torch.autocast("cpu", enabled=False)', 'torch.autocast("cpu", torch.float16)')
def test_bfloat16_is_attended_by_products_on_a_cpu_under_autocast_too(monkeypatch):
    parts = torch.randn(3, 2, 3, 7, 8, generator=seeded(1)).bfloat16()
    mask = torch.rand(7, 7, generator=seeded(2)) < 0.5
    mask.fill_diagonal_(True)
    for options in ({}, {"causal": True}, {"mask": mask}):
        exact = attention(*parts.double(), **options)
        for enabled in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                out, kernel = chosen_by(monkeypatch, *parts, **options)
            assert (kernel, out.dtype) == (None, torch.bfloat16)
            torch.testing.assert_close(out.double(), exact, rtol=0.02, atol=0.02)
    ones = torch.ones(1, 1, 64, 64, dtype=torch.bfloat16)
    assert attention(ones, ones, ones, dropout=0.5).unique().numel() > 1


@catches(SUBJECT, "query.shape[2] == 1 or not", "not")
@catches(SUBJECT, "query.dtype == key.dtype == value.dtype == torch.bfloat16", "query.dtype == torch.bfloat16")
@catches(SUBJECT, "attend(query.float(), key.float(), value.float())", "attend(query, key.to(query.dtype), value)")
@catches(SUBJECT, "value.float()).to(query.dtype)", "value.float())")
def test_single_queries_and_mixed_types_are_attended_in_float32(monkeypatch):
    query, key, value = torch.randn(3, 1, 2, 9, 4, generator=seeded(3)).bfloat16()
    for case in ((query[:, :, :1], key, value), (query, key.float(), value.float())):
        out, kernel = chosen_by(monkeypatch, *case)
        assert kernel == (torch.float32,) * 3
        torch.testing.assert_close(out, attention(*(part.double() for part in case)).bfloat16())


@catches(SUBJECT, "key.shape[2] > _MOST_KEYS", "False")
def test_the_kernel_for_bfloat16_serves_where_weights_of_all_keys_would_take_much_memory(monkeypatch):
    parts = torch.randn(3, 1, 2, 513, 4, generator=seeded(3)).bfloat16()
    out, kernel = chosen_by(monkeypatch, *parts)
    assert kernel == (torch.bfloat16,) * 3
    torch.testing.assert_close(out.double(), attention(*parts.double()), rtol=0.02, atol=0.02)
    assert chosen_by(monkeypatch, *(part[:, :, :512] for part in parts))[1] is None


@catches(SUBJECT, "or query.dtype == torch.float64", "")
def test_float64_stays_float64():
    parts = torch.randn(3, 1, 1, 4, 4, generator=seeded(2)).double()
    expected = (parts[0] @ parts[1].mT / 2).softmax(-1) @ parts[2]
    torch.testing.assert_close(attention(*parts), expected, rtol=1e-14, atol=1e-14)
