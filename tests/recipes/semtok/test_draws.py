"""What is random in a step depends on seed, step and place alone: however the batch is divided, the same."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.semtok_runs import generator, tiny
from semtok.draws import draw, hidden_tokens, shifted

SUBJECT = "semtok.draws"
SIZES, LOSSES = tiny().tokenizer, tiny().losses


@given(
    seed=st.integers(0, 2**20),
    step=st.integers(0, 10**6),
    count=st.integers(1, 12),
    data=st.data(),
)
def test_any_division_of_a_batch_draws_the_same(seed, step, count, data):
    places, losses = torch.arange(count), tiny("losses.nested_weight=1", "losses.nested_sets=both").losses
    whole = draw(places, step, seed, SIZES, losses)
    cuts = sorted(data.draw(st.sets(st.integers(1, count - 1), max_size=4))) if count > 1 else []
    parts = [draw(part, step, seed, SIZES, losses) for part in places.tensor_split(cuts)]
    for field in whole._fields:
        assert torch.equal(getattr(whole, field), torch.cat([getattr(part, field) for part in parts]))
    order = torch.tensor(data.draw(st.permutations(range(count))))
    shuffled = draw(order, step, seed, SIZES, losses)
    assert torch.equal(shuffled.noise, whole.noise[order])
    assert torch.equal(shuffled.hidden, whole.hidden[order])


def test_shapes_and_ranges():
    draws = draw(torch.arange(50), 3, 0, SIZES, LOSSES)
    assert draws.t.shape == (50,)
    assert draws.noise.shape == (50, 1, 16, 16)
    assert draws.hidden.shape == (50, 4)
    assert draws.hidden.dtype == torch.bool
    assert 0 < draws.t.min() < draws.t.max() < 1


@pytest.mark.parametrize("other", [{"step": 4}, {"seed": 1}, {"places": torch.arange(5, 10)}])
def test_another_step_seed_or_place_draws_something_else(other):
    given = {"places": torch.arange(5), "step": 3, "seed": 0}
    one = draw(*given.values(), SIZES, LOSSES)
    two = draw(*(given | other).values(), SIZES, LOSSES)
    assert (one.t != two.t).all()
    assert (one.noise != two.noise).any(1).all()


def test_times_are_logit_normal_with_a_uniform_share():
    """Below 0.02 lie 0.005 % of the logit-normal times and 2 % of the uniform ones."""
    small = SIZES.model_copy(update={"image_size": 8})
    shares = {}
    for uniform in (0.0, 1.0):
        losses = LOSSES.model_copy(update={"uniform_times": uniform})
        t = torch.cat([draw(torch.arange(500), step, 0, small, losses).t for step in range(6)])
        shares[uniform] = (t < 0.02).double().mean().item()
        assert t.median().item() == pytest.approx(0.5, abs=0.04)
        assert t.std().item() == pytest.approx({0.0: 0.208, 1.0: 0.289}[uniform], abs=0.01)
    assert shares[0.0] < 0.002
    assert shares[1.0] == pytest.approx(0.02, abs=0.01)


def test_the_shift_moves_times_and_nothing_else():
    losses = LOSSES.model_copy(update={"time_shift": 3.0})
    plain, shifted = (draw(torch.arange(20), 0, 0, SIZES, each) for each in (LOSSES, losses))
    torch.testing.assert_close(shifted.t, 3 * plain.t / (1 + 2 * plain.t))
    assert torch.equal(plain.noise, shifted.noise)
    assert torch.equal(plain.hidden, shifted.hidden)


def test_any_seed_will_do():
    one, two = (draw(torch.arange(2), 0, seed, SIZES, LOSSES).t for seed in (2**40, 2**62 + 1))
    assert not torch.equal(one, two)


def test_a_latent_space_draws_noise_of_its_own_shape():
    sizes = SIZES.model_copy(update={"space_channels": 4, "space_stride": 2})
    assert draw(torch.arange(2), 0, 0, sizes, LOSSES).noise.shape == (2, 4, 8, 8)


@catches(SUBJECT, ">= first", "< first")
@catches(SUBJECT, "1 + int(place * (num_tokens - 1))", "int(place * num_tokens)")
@catches(SUBJECT, "coin < everything + suffix", "coin < suffix")
def test_the_hidden_part_is_a_suffix_and_each_kind_of_image_as_frequent_as_asked_for():
    count, source = 4000, generator(10)
    rows = torch.stack([hidden_tokens(8, (0.2, 0.3), source) for _ in range(count)])
    assert torch.equal(rows, rows.long().cummax(1).values.bool())
    bound = 5 * 0.5 / count**0.5
    assert abs((~rows.any(1)).double().mean() - 0.5) < bound
    assert abs(rows.all(1).double().mean() - 0.2) < bound
    assert not torch.stack([hidden_tokens(3, (0.0, 1.0), source) for _ in range(200)]).all(1).any()
    part = rows[rows.any(1) & ~rows.all(1)].sum(1)
    assert set(part.tolist()) == set(range(1, 8))
    assert torch.stack([hidden_tokens(8, (0.0, 0.0), source) for _ in range(50)]).sum() == 0


@catches(SUBJECT, "shift * t / (1 +", "t / (shift -")
def test_times_shift_towards_the_noise():
    t = torch.linspace(0, 1, 11)
    torch.testing.assert_close(shifted(t, 3.0).double(), 3 * t.double() / (1 + 2 * t.double()), rtol=1e-4, atol=1e-5)
    assert torch.equal(shifted(t, 1.0), t)
    assert bool((shifted(t, 3.0)[1:-1] > t[1:-1]).all())
