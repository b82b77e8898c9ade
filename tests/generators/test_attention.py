"""Softmax attention, by whichever kernels."""

import math

import pytest
import torch
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


@catches(SUBJECT, "attend(query.float(), key.float(), value.float())", "attend(query, key, value)")
@catches(SUBJECT, ".to(query.dtype)", "")
@catches(SUBJECT, 'torch.autocast("cpu", enabled=False)', 'torch.autocast("cpu", torch.bfloat16)')
def test_on_a_cpu_bfloat16_is_attended_in_float32_under_autocast_too():
    parts = torch.randn(3, 2, 3, 7, 8, generator=seeded(1)).bfloat16()
    exact = attention(*parts.double()).float().bfloat16()
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = attention(*parts)
        assert out.dtype == torch.bfloat16
        assert torch.equal(out, exact)


@catches(SUBJECT, "or query.dtype == torch.float64", "")
def test_float64_stays_float64():
    parts = torch.randn(3, 1, 1, 4, 4, generator=seeded(2)).double()
    expected = (parts[0] @ parts[1].mT / 2).softmax(-1) @ parts[2]
    torch.testing.assert_close(attention(*parts), expected, rtol=1e-14, atol=1e-14)
