"""The rate of a step, by bounds and by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.training.learning_rate import scheduled_rate, set_learning_rate

SUBJECT = "vistok.workbench.training.learning_rate"


@given(st.integers(1, 1000), st.integers(0, 100), st.floats(0, 1), st.floats(0, 1))
def test_the_rate_stays_between_zero_and_the_peak(steps, warmup, decay_start, final):
    for step in {0, steps // 2, steps - 1}:
        rate = scheduled_rate(step, steps, peak=1.0, final=final, warmup_steps=warmup, decay_start=decay_start)
        assert 0 < rate <= 1 or rate >= final


@catches(SUBJECT, "peak * (step + 1) / warmup_steps", "peak * step / warmup_steps")
@catches(SUBJECT, "(step - begin) / (steps - begin)", "(step - begin) / steps")
def test_the_rate_by_hand():
    # 10 steps, warm-up over 2, constant to step 6, then a cosine over 4 steps from 1 to 0.
    rates = [scheduled_rate(s, 10, peak=1.0, warmup_steps=2, decay_start=0.6) for s in range(10)]
    expected = [0.5, 1, 1, 1, 1, 1, 1, 0.5 * (1 + math.cos(math.pi / 4)), 0.5, 0.5 * (1 + math.cos(3 * math.pi / 4))]
    assert rates == pytest.approx(expected)


def test_a_constant_rate_never_decays():
    assert {scheduled_rate(s, 100, peak=2e-4) for s in range(100)} == {2e-4}


@catches(SUBJECT, "in optimizer.param_groups:", "in optimizer.param_groups[:1]:")
@catches(SUBJECT, 'rate * group.get("rate_scale", 1.0)', "rate")
def test_all_groups_of_parameters_get_the_rate_times_their_scale():
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in (0.1, 0.2)]
    groups.append({"params": [torch.zeros(1, requires_grad=True)], "rate_scale": 3.0})
    optimizer = torch.optim.SGD(groups)
    set_learning_rate(optimizer, 0.05)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.05, 0.05 * 3.0]
