"""The path that every quantizer shares, with a quantizer that rounds."""

import math

import torch
from hypothesis import given
from torch import Tensor

from _support.mutants import catches
from _support.strategies import normal, spatial_shapes
from vistok.quantizers._tokens import quantize_tokens

SUBJECT = "vistok.quantizers._tokens"


def rounded(z, channel_dim=1):
    """Codes are the digits of an index in base 10: the first channel counts ones, the second tens."""
    return quantize_tokens(
        z,
        channel_dim,
        scale=Tensor.float,
        assign=lambda rows: (rows.round().clamp(0, 9) @ torch.tensor([1.0, 10.0])).long(),
        lookup=lambda indices: torch.stack([indices % 10, indices // 10], -1).float(),
    )


@catches(
    SUBJECT, "features.detach().reshape(-1, features.shape[-1])", "features.detach().mT.reshape(-1, features.shape[-1])"
)
def test_by_hand_rows_indices_and_codes_belong_together():
    """Two tokens, (3.2, 1.1) and (0.4, 7.9): digits 3 and 1, 0 and 8."""
    z = torch.tensor([[[3.2, 0.4], [1.1, 7.9]]], requires_grad=True)
    (quantized, codes, indices), tokens = rounded(z)
    assert indices.tolist() == [[13, 80]]
    assert codes.tolist() == quantized.tolist() == [[[3.0, 0.0], [1.0, 8.0]]]
    assert tokens.indices.tolist() == [13, 80]
    assert not tokens.rows.requires_grad
    (quantized * torch.tensor([1.0, 2.0])).sum().backward()
    assert z.grad.tolist() == [[[1.0, 2.0], [1.0, 2.0]]]


@catches(SUBJECT, 'float("nan")', "0.0")
@catches(SUBJECT, "rows = torch.where(finite.unsqueeze(1), rows, 0.0)", "pass")
@catches(SUBJECT, "flat = flat * finite.view(-1, *[1] * (flat.ndim - 1))", "pass")
def test_a_token_that_is_not_finite_gets_index_zero_and_nan():
    z = torch.tensor([[1.0, 2.0], [math.nan, 3.0], [4.0, math.inf]])
    (quantized, codes, indices), tokens = rounded(z)
    assert indices.tolist() == [21, 0, 0]
    assert quantized[1:].isnan().all()
    assert codes.tolist() == [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]]
    assert tokens.rows.tolist() == [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]]
    assert tokens.finite.tolist() == [True, False, False]
    everywhere, _ = quantize_tokens(
        z,
        1,
        scale=Tensor.float,
        assign=lambda rows: torch.full((len(rows),), 7),
        lookup=lambda indices: torch.ones(*indices.shape, 2),
    )
    assert everywhere.indices.tolist() == [7, 0, 0]


@catches(SUBJECT, "(channels_back(x, channel_dim).to(z.dtype) for", "(channels_back(x, channel_dim) for")
def test_the_dtype_is_the_callers_and_the_search_float32():
    seen = []
    z = normal(0, 3, 2).half()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (quantized, codes, _), tokens = quantize_tokens(
            z,
            1,
            scale=Tensor.float,
            assign=lambda rows: seen.append((rows @ rows.T).dtype) or torch.zeros(len(rows), dtype=torch.int64),
            lookup=lambda indices: torch.ones(*indices.shape, 2),
        )
    assert seen == [torch.float32]
    assert tokens.rows.dtype == torch.float32
    assert quantized.dtype == codes.dtype == torch.float16


@catches(SUBJECT, "indices.shape[: features.ndim - 1]", "indices.shape")
def test_several_indices_a_token_come_last():
    (quantized, _, indices), tokens = quantize_tokens(
        normal(0, 4, 2, 5),
        1,
        scale=Tensor.float,
        assign=lambda rows: rows.round().long().abs(),
        lookup=lambda indices: indices.float(),
    )
    assert indices.shape == (4, 5, 2)
    assert tokens.indices.shape == (20, 2)
    assert quantized.shape == (4, 2, 5)


@catches(SUBJECT, "scale(channels_last(z, channel_dim))", "scale(z.mT)")
@given(spatial_shapes)
def test_both_layouts_give_the_same(spatial):
    z = 5 + normal(0, 3, 2, *spatial)
    first, last = rounded(z)[0], rounded(z.movedim(1, -1), -1)[0]
    assert torch.equal(first.indices, last.indices)
    assert torch.equal(first.codes, last.codes.movedim(-1, 1))
