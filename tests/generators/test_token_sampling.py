"""Draws of ids from logits."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import TokenChoice, draw_tokens, filter_logits

SUBJECT = "vistok.generators.sampling.token_sampling"


@catches(SUBJECT, "logits < smallest", "logits <= smallest")
def test_top_k_keeps_the_k_largest():
    logits = torch.tensor([[0.1, 3.0, 2.0, -1.0]])
    assert filter_logits(logits, top_k=2).isfinite().tolist() == [[False, True, True, False]]
    assert torch.equal(filter_logits(logits, top_k=9), logits)


@catches(SUBJECT, "mass.cumsum(dim=-1) - mass >= top_p", "mass.cumsum(dim=-1) >= top_p")
def test_top_p_keeps_the_shortest_run_that_reaches_the_mass():
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
    for top_p, kept in ((0.4, [1]), (0.51, [1, 3]), (0.79, [1, 3]), (0.81, [0, 1, 3]), (1.0, [0, 1, 2, 3])):
        assert filter_logits(logits, top_p=top_p).isfinite().nonzero().flatten().tolist() == kept


@catches(SUBJECT, "torch.promote_types(logits.dtype, torch.float32)", "logits.dtype")
def test_the_nucleus_of_half_precision_logits_is_summed_in_float32():
    logits = torch.randn(4, 2000, generator=seeded(0))
    for half in (logits.bfloat16(), logits.half()):
        kept = filter_logits(half, top_p=0.9)
        assert kept.dtype == half.dtype
        finite = kept.isfinite()
        assert torch.equal(finite.sum(-1), filter_logits(half.double(), top_p=0.9).isfinite().sum(-1))
        assert (half.double().softmax(-1) * finite).sum(-1).min() >= 0.9


@catches(SUBJECT, "torch.promote_types(logits.dtype, torch.float32)", "torch.float32")
def test_the_nucleus_of_doubles_is_summed_in_doubles():
    logits = torch.tensor([0.5 + 1e-12, 0.5 - 1e-12], dtype=torch.float64).log()
    assert filter_logits(logits, top_p=0.5).isfinite().tolist() == [True, False]
    assert filter_logits(logits, top_p=0.5 + 2e-12).isfinite().all()


@catches(SUBJECT, "(logits - largest) / temperature", "(logits - largest) * temperature")
def test_draws_follow_the_tempered_distribution():
    logits = torch.tensor([1.0, 0.0, -1.0])
    drawn = draw_tokens(logits.expand(60_000, 3), temperature=0.5, generator=seeded(0))
    share = torch.bincount(drawn, minlength=3) / 60_000
    torch.testing.assert_close(share, (logits / 0.5).softmax(-1), atol=0.01, rtol=0)


@catches(SUBJECT, ".cumsum(dim=-1)\n    number", ".flip(-1).cumsum(dim=-1)\n    number")
@given(st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=12), st.integers(0, 9))
def test_an_id_is_the_first_whose_cumulative_probability_exceeds_one_uniform_number(values, seed):
    logits = torch.tensor(values).expand(50, len(values))
    drawn = draw_tokens(logits, generator=seeded(seed))
    weights = [math.exp(value - max(values)) for value in values]
    for uniform, chosen in zip(torch.rand(50, generator=seeded(seed)).tolist(), drawn.tolist(), strict=True):
        below, above = math.fsum(weights[:chosen]), math.fsum(weights[: chosen + 1])
        assert below / math.fsum(weights) - 1e-6 <= uniform <= above / math.fsum(weights) + 1e-6


UNLIKELY = torch.tensor([[-math.inf, 1.0, -math.inf, 2.0, -math.inf]])


@catches(SUBJECT, "mass <= number", "mass < number")
def test_the_lower_end_of_the_unit_interval_draws_no_id_without_probability(monkeypatch):
    monkeypatch.setattr(f"{SUBJECT}.uniform", lambda shape, device, generator: torch.zeros(shape))
    assert draw_tokens(UNLIKELY).item() == 1


@catches(SUBJECT, "& (mass < mass[..., -1:])", "")
def test_nor_does_the_upper_end_which_sums_of_float32_reach(monkeypatch):
    monkeypatch.setattr(f"{SUBJECT}.uniform", lambda shape, device, generator: torch.ones(shape))
    assert draw_tokens(UNLIKELY).item() == 3


@given(st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=12), st.integers(0, 14), st.floats(0.01, 1.0))
def test_filtered_logits_are_the_input_or_minus_infinity(values, top_k, top_p):
    logits = torch.tensor(values)
    kept = filter_logits(logits, top_k=top_k, top_p=top_p)
    finite = kept.isfinite()
    assert finite[logits.argmax()]
    assert torch.equal(kept[finite], logits[finite])
    if top_k == 0:
        assert logits.softmax(-1)[finite].sum() >= top_p - 1e-5


@catches(SUBJECT, "if not temperature >= 0:", "if temperature < 0:")
@catches("vistok.generators.sampling._far_sampling", "check_draw(temperature=self.temperature,", "check_draw(")
def test_a_temperature_that_is_no_number_is_named_also_before_the_first_draw():
    for temperature in (-1.0, math.nan):
        for call in (lambda **choice: draw_tokens(torch.zeros(1, 2), **choice), TokenChoice):
            with pytest.raises(ValueError, match=f"^temperature must be >= 0, got {temperature}$"):
                call(temperature=temperature)
    with pytest.raises(ValueError, match="top_k"):
        TokenChoice(top_k=-1)
    with pytest.raises(ValueError, match="top_p"):
        TokenChoice(top_p=0.0)


@catches(SUBJECT, "(logits - largest) / temperature", "logits / temperature")
def test_the_least_temperatures_take_the_most_likely_as_0_does():
    logits = torch.tensor([[0.0, 5.0, 1.0], [-3.0, -9.0, -4.0]])
    for temperature in (0.0, 1e-45, 1e-39, 1e-30):
        assert draw_tokens(logits, temperature=temperature).tolist() == [1, 0]


@catches(SUBJECT, 'check_certain("logits", largest)', "")
def test_logits_that_are_no_distribution_are_told_and_no_id_is_drawn():
    for value in (math.nan, math.inf):
        for temperature in (0.0, 1.0):
            with pytest.raises(ValueError, match=f"^logits must have a finite maximum, got {value}$"):
                draw_tokens(torch.tensor([[0.0, 1.0], [0.0, value]]), temperature=temperature)
    assert draw_tokens(torch.tensor([[-math.inf, 1.0]])).tolist() == [1]
    assert draw_tokens(torch.empty(0, 4)).shape == (0,)
    assert draw_tokens(torch.empty(2, 4, device="meta"), temperature=0.0).shape == (2,)
