"""Cells attend to themselves and what is before them: with a mask or without, it is the masked definition."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import XAR, XAROptions
from vistok.generators.layers import _cell_attention
from vistok.generators.layers._cell_attention import cell_attention

SUBJECT = "vistok.generators.layers._cell_attention"
LABELS = torch.tensor([1, 4])
ALWAYS_CALLS, ALWAYS_MASK = (10**6, 0), (0, 0)


def limits(monkeypatch, pair):
    monkeypatch.setattr(_cell_attention, "_MOST_CALLS", pair[0])
    monkeypatch.setattr(_cell_attention, "_FEWEST_TOKENS", pair[1])


def by_definition(query, key, value, cell_tokens):
    """Softmax over all keys with minus infinity where a key's cell is later than the query's."""
    before = key.shape[2] - query.shape[2]
    cell_of_key = torch.arange(key.shape[2]) // cell_tokens
    later = cell_of_key[None, :] > cell_of_key[before:, None]
    logits = query @ key.mT / query.shape[-1] ** 0.5
    return logits.masked_fill(later, float("-inf")).softmax(-1) @ value


def differs_nowhere_from_the_definition(cells, tokens, before, seed=0):
    """Output and gradients in float64; ``before`` cells are in the keys only, as from a cache."""
    length = (before + cells) * tokens
    made = torch.randn(3, 2, 2, length, 4, generator=seeded(seed), dtype=torch.float64)
    weight = torch.randn(2, 2, cells * tokens, 4, generator=seeded(seed + 1), dtype=torch.float64)
    results = []
    for attend in (by_definition, cell_attention):
        query, key, value = (part.clone().requires_grad_() for part in made)
        own = query[:, :, before * tokens :]
        if attend is by_definition:
            out = attend(own, key, value, tokens)
        else:
            out = attend(own, key, value, cell_tokens=tokens, dropout=0.0, backend="sdpa")
        results.append((out, *torch.autograd.grad((out * weight).sum(), (query, key, value))))
    for got, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-10)


@catches(SUBJECT, "end = before + cell * cell_tokens", "end = before + (cell - 1) * cell_tokens + 1")
@catches(SUBJECT, "end = before + cell * cell_tokens", "end = cell * cell_tokens")
@catches(SUBJECT, "key[:, :, :end], value[:, :, :end]", "key, value")
@catches(SUBJECT, "start=1)", "start=2)")
@catches(SUBJECT, "causal=True", "causal=False")
@catches(SUBJECT, "cell_tokens == 1 and before == 0", "cell_tokens == 1")
@catches(SUBJECT, "mask=mask[before:]", "mask=mask[:-before or None]")
def test_by_calls_causal_and_by_the_mask_with_cells_before_and_without_it_is_the_masked_definition():
    for cells, tokens, before in ((3, 64, 0), (2, 64, 1), (6, 1, 0), (4, 1, 2), (3, 2, 1)):
        differs_nowhere_from_the_definition(cells, tokens, before)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 3), st.integers(0, 99))
def test_output_and_gradients_are_those_of_the_masked_definition(cells, tokens, before, seed):
    differs_nowhere_from_the_definition(cells, tokens, before, seed)


@pytest.mark.parametrize("pair", [ALWAYS_CALLS, ALWAYS_MASK])
@pytest.mark.parametrize(("cells", "tokens", "before"), [(1, 4, 0), (4, 16, 0), (2, 3, 2), (17, 2, 0), (5, 1, 2)])
def test_every_limit_gives_the_same(monkeypatch, pair, cells, tokens, before):
    limits(monkeypatch, pair)
    differs_nowhere_from_the_definition(cells, tokens, before)


@pytest.mark.parametrize(
    ("cells", "tokens", "calls", "masked"),
    [(1, 64, 1, False), (4, 64, 4, False), (16, 64, 16, False), (17, 64, 1, True), (4, 63, 1, True), (64, 1, 1, False)],
)
def test_few_large_cells_and_single_tokens_need_no_mask(monkeypatch, cells, tokens, calls, masked):
    seen = []
    real = torch.nn.functional.scaled_dot_product_attention

    def spy(*parts, attn_mask=None, **options):
        seen.append(attn_mask is not None)
        return real(*parts, attn_mask=attn_mask, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    parts = torch.zeros(3, 1, 1, cells * tokens, 4)
    cell_attention(*parts, cell_tokens=tokens, dropout=0.0, backend="sdpa")
    assert seen == [masked] * calls


def network(order, cell, grid=(8, 8), **options):
    torch.manual_seed(0)
    options = XAROptions(order=order, **options)
    return XAR(3, grid, cell, 5, width=16, depth=4, num_heads=2, options=options).double().eval()


@given(st.sampled_from(["block", "interleaved"]), st.sampled_from([(4, 4), (2, 8), (8, 4), (8, 8), (1, 1), (2, 2)]))
def test_a_model_gives_the_same_by_calls_and_by_the_mask(order, cell):
    model = network(order, cell)
    x = torch.randn(2, 3, 8, 8, generator=seeded(1), dtype=torch.float64)
    t = torch.rand(2, model.num_cells, generator=seeded(2), dtype=torch.float64)
    results = []
    for pair in (ALWAYS_CALLS, ALWAYS_MASK):
        with pytest.MonkeyPatch.context() as patch:
            limits(patch, pair)
            model.zero_grad()
            velocity = model(x, t, LABELS)
            velocity.square().sum().backward()
            results.append([velocity, *(parameter.grad for parameter in model.parameters())])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("order", ["block", "interleaved"])
@pytest.mark.parametrize("cell", [(4, 4), (2, 8), (1, 4)])
def test_cached_sampling_gives_what_all_cells_together_give(order, cell):
    model = network(order, cell).float()
    both = [
        model.sample(LABELS, num_steps=2, guidance=2.0, generator=seeded(0), use_cache=cache) for cache in (True, False)
    ]
    torch.testing.assert_close(*both, atol=1e-4, rtol=1e-4)


def test_a_large_cell_sees_all_before_it_and_nothing_after_it():
    model = network("block", (4, 4))
    x = torch.randn(2, 3, 8, 8, generator=seeded(1), dtype=torch.float64)
    t = torch.rand(2, 4, generator=seeded(2), dtype=torch.float64)
    before = model.to_cells(model(x, t, LABELS))
    for changed in range(4):
        cells = model.to_cells(x).clone()
        cells[:, changed, 3] += 5
        after = model.to_cells(model(model.from_cells(cells), t, LABELS))
        for cell in range(4):
            assert torch.equal(before[:, cell], after[:, cell]) == (cell < changed)


def test_attention_weights_are_dropped_in_every_call():
    parts = torch.ones(3, 1, 1, 64, 4)
    torch.manual_seed(0)
    out = cell_attention(*parts, cell_tokens=16, dropout=0.5, backend="sdpa")
    assert all((cell != 1).any() for cell in out.split(16, dim=2))
