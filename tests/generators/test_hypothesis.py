"""Range and invariance lines of the docstrings, for sizes and values that hypothesis draws."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from vistok import generators as g

SMALL = st.integers(1, 4)


@given(SMALL, SMALL, SMALL, SMALL, st.sampled_from(["block", "interleaved"]))
def test_cells_are_a_permutation_of_the_grid(down, across, rows, columns, order):
    grid, cell = (down * rows, across * columns), (rows, columns)
    permutation = g.cell_permutation(grid, cell, order=order)
    assert permutation.sort().values.tolist() == list(range(grid[0] * grid[1]))
    rows_of_cells = (permutation // grid[1]).reshape(-1, rows * columns)
    spread = rows_of_cells.max(-1).values - rows_of_cells.min(-1).values
    assert (spread == (rows - 1) * (1 if order == "block" else down)).all()


@given(st.integers(1, 300), st.data(), st.sampled_from(["cosine", "arccos", "linear"]))
def test_every_masking_plan_falls_strictly_to_zero(units, data, schedule):
    counts = g.masked_counts(units, data.draw(st.integers(1, units)), schedule)
    assert all(now > then for now, then in zip([units, *counts], counts, strict=False))
    assert counts[-1] == 0


@given(st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=12), st.integers(0, 14), st.floats(0.01, 1.0))
def test_filtered_logits_are_the_input_or_minus_infinity(values, top_k, top_p):
    logits = torch.tensor(values)
    kept = g.filter_logits(logits, top_k=top_k, top_p=top_p)
    finite = kept.isfinite()
    assert finite[logits.argmax()]
    assert torch.equal(kept[finite], logits[finite])
    if top_k == 0:
        assert logits.softmax(-1)[finite].sum() >= top_p - 1e-5


@given(
    st.floats(0, 10),
    st.sampled_from(["constant", "linear", "power_cosine"]),
    st.floats(0.1, 5),
    st.floats(0, 1),
)
def test_a_schedule_stays_between_one_and_its_scale(scale, kind, power, progress):
    guidance = g.Guidance(scale, kind, power)
    low, high = sorted((1.0, scale))
    assert low - 1e-9 <= guidance.at(progress) <= high + 1e-9
    assert math.isclose(guidance.at(1.0), scale, abs_tol=1e-9)


@given(st.floats(0, 1), st.integers(0, 1000))
def test_the_path_runs_from_data_to_noise(t, seed):
    data, noise = torch.randn(2, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x_t, velocity = g.flow_path(data, noise, torch.tensor(t, dtype=torch.float64))
    torch.testing.assert_close(x_t - t * velocity, data)
    torch.testing.assert_close(x_t + (1 - t) * velocity, noise)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3), st.booleans())
def test_attention_is_a_convex_combination_of_values(queries, keys, heads, masked):
    rng = torch.Generator().manual_seed(queries * 100 + keys)
    query = torch.randn(2, heads, queries, 4, generator=rng)
    key, value = torch.randn(2, 2, heads, keys, 4, generator=rng)
    mask = torch.ones(queries, keys, dtype=torch.bool)
    if masked and keys > 1:
        mask[:, -1] = False
    out = g.attention(query, key, value, mask=mask)
    seen = value[:, :, : keys - 1] if masked and keys > 1 else value
    assert (out <= seen.amax(2, keepdim=True) + 1e-5).all()
    assert (out >= seen.amin(2, keepdim=True) - 1e-5).all()


@given(st.integers(1, 12), st.integers(0, 500))
def test_rotation_keeps_the_norm_of_every_pair(length, seed):
    x = torch.randn(length, 8, generator=torch.Generator().manual_seed(seed))
    turned = g.rotate(x, g.rotary_table_1d(length, 8))
    before, after = (v.unflatten(-1, (4, 2)).norm(dim=-1) for v in (x, turned))
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 100))
def test_bits_come_back_from_their_groups(groups, bits, seed):
    tokens = g.BitTokens(groups * bits, groups)
    drawn = torch.randn(3, groups * bits, generator=torch.Generator().manual_seed(seed)).sign()
    assert torch.equal(tokens.to_bits(tokens.to_groups(drawn)), drawn)
