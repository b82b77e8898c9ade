"""Seeds and rates are functions of the step; state comes back; a stop is answered after the step."""

import math
import os
import signal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vistok.workbench.training import Interrupted, StopSignal, TrainState, scheduled_rate, seed_step


@given(st.integers(0, 99), st.integers(0, 10**6), st.integers(0, 7))
def test_a_step_draws_the_same_numbers_whatever_ran_before(seed, step, rank):
    first = torch.rand(4, generator=seed_step(seed, step, rank)), torch.rand(4)
    torch.rand(17)
    again = torch.rand(4, generator=seed_step(seed, step, rank)), torch.rand(4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = torch.rand(4, generator=seed_step(seed, step, rank + 1))
    assert not torch.equal(first[0], other)


@given(st.integers(1, 1000), st.integers(0, 100), st.floats(0, 1), st.floats(0, 1))
def test_the_rate_stays_between_zero_and_the_peak(steps, warmup, decay_start, final):
    for step in {0, steps // 2, steps - 1}:
        rate = scheduled_rate(step, steps, peak=1.0, final=final, warmup_steps=warmup, decay_start=decay_start)
        assert 0 < rate <= 1 or rate >= final


def test_the_rate_by_hand():
    # 10 steps, warm-up over 2, constant to step 6, then a cosine over 4 steps from 1 to 0.
    rates = [scheduled_rate(s, 10, peak=1.0, warmup_steps=2, decay_start=0.6) for s in range(10)]
    expected = [0.5, 1, 1, 1, 1, 1, 1, 0.5 * (1 + math.cos(math.pi / 4)), 0.5, 0.5 * (1 + math.cos(3 * math.pi / 4))]
    assert rates == pytest.approx(expected)


def test_a_constant_rate_never_decays():
    assert {scheduled_rate(s, 100, peak=2e-4) for s in range(100)} == {2e-4}


def make(tmp_path, value):
    torch.manual_seed(value)
    model = torch.nn.Linear(3, 3)
    optimizer = torch.optim.Adam(model.parameters())
    return model, TrainState(tmp_path, {"model": model, "optimizer": optimizer}, every=5, writes=True)


def test_state_comes_back(tmp_path):
    model, state = make(tmp_path, 0)
    assert state.resume() == 0
    state.save(5)
    other, state = make(tmp_path, 1)
    assert state.resume() == 5
    assert torch.equal(model.weight, other.weight)


def test_an_interrupt_saves_the_finished_step_and_says_how_to_go_on(tmp_path):
    _, state = make(tmp_path, 0)
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted, match="stopped after step 3 of 10, which is saved; --resume continues"):
            state.after_step(3, 10, stop)
    assert state.resume() == 3


def test_checkpoints_come_when_due_and_at_the_end(tmp_path):
    _, state = make(tmp_path, 0)
    with StopSignal() as stop:
        for step in range(1, 13):
            state.after_step(step, 12, stop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000010.pt", "step-000000012.pt"]


def test_signals_are_restored(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
