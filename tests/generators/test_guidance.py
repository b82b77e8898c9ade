"""Classifier-free guidance, its schedules and its interval."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.generators import Guidance, IntervalGuidance, guide, power_times, solve_ode
from vistok.generators.sampling.guidance import as_guidance

SUBJECT = "vistok.generators.sampling.guidance"


@catches(
    SUBJECT,
    "return unconditional + scale * (conditional - unconditional)",
    "return conditional + scale * (conditional - unconditional)",
)
def test_guidance_schedules_by_hand():
    conditional, unconditional = torch.tensor([3.0]), torch.tensor([1.0])
    assert guide(conditional, unconditional, 2.5).item() == 6.0
    assert guide(conditional, unconditional, 0.0).item() == 1.0
    assert guide(conditional, unconditional, 1.0) is conditional
    assert [Guidance(3.0, "linear").at(p) for p in (0.0, 0.25, 1.0)] == [1.0, 1.5, 3.0]
    assert Guidance(3.0).at(0.0) == 3.0
    cosine = Guidance(5.0, "power_cosine", power=2.0)
    assert math.isclose(cosine.at(0.5), 1 + 4 * 0.5 * (1 - math.cos(math.pi * 0.25)))
    assert cosine.at(0.0) == 1
    assert math.isclose(cosine.at(1.0), 5)


@catches(SUBJECT, "return cls(scale + 1,", "return cls(scale,")
def test_the_other_convention_converts():
    """c + s'(c - u) with a power-cosine s' equals u + s(c - u) with the converted schedule."""
    conditional, unconditional = torch.tensor([3.0]), torch.tensor([0.5])
    schedule = Guidance.from_extrapolation(7.1, "power_cosine", power=2.5)
    for progress in (0.0, 0.4, 1.0):
        other = 7.1 * 0.5 * (1 - math.cos(math.pi * progress**2.5))
        expected = conditional + other * (conditional - unconditional)
        torch.testing.assert_close(guide(conditional, unconditional, schedule.at(progress)), expected)


@given(
    st.floats(0, 10),
    st.sampled_from(["constant", "linear", "power_cosine"]),
    st.floats(0.1, 5),
    st.floats(0, 1),
)
def test_a_schedule_stays_between_one_and_its_scale(scale, kind, power, progress):
    guidance = Guidance(scale, kind, power)
    low, high = sorted((1.0, scale))
    assert low - 1e-9 <= guidance.at(progress) <= high + 1e-9
    assert math.isclose(guidance.at(1.0), scale, abs_tol=1e-9)


@catches(SUBJECT, "if self.low <= t <= self.high else", "if t <= self.high else")
@catches(SUBJECT, "if self.low <= t <= self.high else", "if self.low < t < self.high else")
@catches(SUBJECT, "self.high else 1.0", "self.high else 0.0")
def test_the_scale_acts_on_the_interval_and_its_ends():
    guidance = IntervalGuidance(1.5, 0.145, 0.505)
    assert [guidance.at(t) for t in (0.145, 0.3, 0.505)] == [1.5, 1.5, 1.5]
    assert [guidance.at(t) for t in (0.0, 0.1449, 0.5051, 1.0)] == [1.0, 1.0, 1.0, 1.0]
    assert [IntervalGuidance(0.0, 0.5, 0.5).at(t) for t in (0.4, 0.5, 0.6)] == [1.0, 0.0, 1.0]


@given(st.floats(0, 10), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_scale_is_the_given_one_inside_and_one_outside(scale, first, second, t):
    low, high = sorted((first, second))
    guidance = IntervalGuidance(scale, low, high)
    assert guidance.at(t) == (scale if low <= t and t <= high else 1)
    assert guidance.at(low) == guidance.at(high) == scale


def test_a_whole_interval_is_constant_guidance_along_the_solver():
    """And guiding nowhere is the conditional flow, without a call of the unconditional one."""
    start, times = torch.linspace(-1, 1, 5).double(), power_times(25)
    calls = []

    def run(guidance):
        def velocity(x, t):
            scale, conditional = guidance.at(t), x - 2 * t
            if scale == 1:
                return conditional
            calls.append(t)
            return guide(conditional, 0.5 * x, scale)

        return solve_ode(velocity, start, times)

    constant = run(Guidance(1.5))
    torch.testing.assert_close(run(IntervalGuidance(1.5, 0.0, 1.0)), constant, atol=0, rtol=0)
    calls.clear()
    run(IntervalGuidance(1.5, 0.145, 0.505))
    assert calls == [t for t in times.tolist()[:-1] if 0.145 <= t <= 0.505]
    assert len(calls) == 6


@catches(SUBJECT, "math.isfinite(self.power) and self.power > 0", "self.power > 0 or self.power != self.power")
def test_a_power_that_is_no_positive_number_is_named():
    for power in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"^guidance power must be finite and > 0, got {power}$"):
            Guidance(2.0, "power_cosine", power=power)


@catches(SUBJECT, "if not isinstance(guidance, Real):", "if False:")
def test_what_a_sampler_cannot_be_guided_by_is_named():
    for wrong in (IntervalGuidance(1.5, 0.1, 0.5), None):
        with pytest.raises(TypeError, match=f"^guidance must be a number or a Guidance, got {type(wrong).__name__}$"):
            as_guidance(wrong, "linear")
    assert as_guidance(2, "linear") == Guidance(2.0, "linear")
