"""The shift of training times that changes while the training goes on."""

import pytest
import torch

from _support.mutants import catches
from _support.semtok_runs import tiny
from semtok import train_tokenizer
from semtok.draws import draw
from semtok.times import annealed, draw_intervals

SUBJECT = "semtok.times"


@catches(SUBJECT, "max(steps - 1, 1)", "max(steps, 1)")
@catches(SUBJECT, "losses.time_shift ** (1 - done) * losses.time_shift_final**done", "losses.time_shift")
def test_the_shift_goes_from_its_start_to_its_end_in_equal_factors():
    losses = tiny("losses.time_shift=4", "losses.time_shift_final=0.25").losses
    shifts = [annealed(losses, step, 5).time_shift for step in range(5)]
    assert shifts == pytest.approx([4, 2, 1, 0.5, 0.25])
    assert annealed(losses, 0, 1).time_shift == pytest.approx(4)


def test_without_an_end_nothing_changes():
    losses = tiny("losses.time_shift=3").losses
    assert annealed(losses, 3, 5) is losses


@catches("semtok.train_tokenizer", "config.tokenizer, losses)", "config.tokenizer, config.losses)")
def test_a_step_of_training_draws_its_times_with_the_shift_of_that_step(tiny_run, monkeypatch):
    _, paths = tiny_run
    config = tiny("losses.time_shift=4", "losses.time_shift_final=1", "train.steps=2", "losses.perceptual_weight=0")
    seen = []

    def watched(*given):
        seen.append(draw(*given))
        return seen[-1]

    monkeypatch.setattr(train_tokenizer, "draw", watched)
    train_tokenizer.train_tokenizer(config, paths, resume=False)
    for step, shift in ((0, 4.0), (1, 1.0)):
        losses = config.losses.model_copy(update={"time_shift": shift})
        expected = draw(torch.arange(8), step, 0, config.tokenizer, losses)
        torch.testing.assert_close(seen[step].t, expected.t)


@catches(SUBJECT, ".sort().values", "")
@catches(SUBJECT, ".item() < share", ".item() > share")
@catches(SUBJECT, "pair[[1, 1]]", "pair[[0, 0]]")
@catches(SUBJECT, "* 65_537 + place +", "* 65_537 +")
def test_pairs_of_times_are_in_order_and_a_share_of_them_differ():
    losses = tiny("losses.time_shift=3").losses
    places = torch.arange(2000)
    r, t = draw_intervals(places, 5, 0, losses, 0.25)
    assert (r <= t).all()
    assert (r < t).double().mean().item() == pytest.approx(0.25, abs=0.04)
    # of two draws alike the larger has the square of their distribution: a half of the single draws lies below 3 / 4
    assert (t < 0.75).double().mean().item() == pytest.approx(0.25, abs=0.04)
    assert t.unique().numel() > 1990
    part = draw_intervals(places[700:710], 5, 0, losses, 0.25)
    assert torch.equal(part.t, t[700:710])
    assert torch.equal(part.r, r[700:710])
    assert not torch.equal(draw_intervals(places[:9], 6, 0, losses, 0.25).t, t[:9])


@catches(SUBJECT, " + 2**31)", ")")
@catches(SUBJECT, "2**31)", "2**62)")
def test_pairs_of_times_are_not_drawn_from_the_state_that_noise_is_drawn_from():
    """The first that a generator of stage I draws is its time."""
    config = tiny("losses.uniform_times=0")
    places = torch.arange(20)
    first = draw(places, 5, 0, config.tokenizer, config.losses).t
    for times in draw_intervals(places, 5, 0, config.losses, 1.0):
        assert not torch.isclose(times, first).any()
