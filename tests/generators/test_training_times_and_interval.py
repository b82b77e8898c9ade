"""Mixed training times, and guidance on an interval; each check takes the package, so it can judge a mutant."""

import importlib
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import mutated
from vistok import generators


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def mixture_cdf(t: torch.Tensor, uniform_prob: float) -> torch.Tensor:
    """P(T <= t): sigma(u) <= t exactly when u <= log t/(1 - t), and a uniform time is below t with probability t."""
    normal = 0.5 * torch.erfc(-(t / (1 - t)).log() / math.sqrt(2))
    return (1 - uniform_prob) * normal + uniform_prob * t


def times_follow_the_mixture(g):
    """Kolmogorov's distance of n draws exceeds 1.95 / sqrt(n) once in a thousand samples."""
    count = 200_000
    for seed, prob in enumerate((0.0, 0.1, 0.5, 1.0)):
        t = g.logit_normal_times((count,), uniform_prob=prob, generator=seeded(seed)).double().sort().values
        expected = mixture_cdf(t, prob)
        steps = torch.arange(count + 1, dtype=torch.float64) / count
        distance = torch.maximum((steps[1:] - expected).max(), (expected - steps[:-1]).max())
        assert distance < 1.95 / count**0.5


def without_a_uniform_share_the_draws_are_the_old_ones(g):
    rng, old = seeded(3), seeded(3)
    for shape in ((7,), (4, 5)):
        assert torch.equal(g.logit_normal_times(shape, generator=rng), torch.randn(shape, generator=old).sigmoid())
        assert torch.equal(
            g.logit_normal_times(shape, uniform_prob=0.0, generator=rng), torch.randn(shape, generator=old).sigmoid()
        )
    assert torch.equal(rng.get_state(), old.get_state())


def each_time_is_replaced_on_its_own(g):
    """About a tenth of the entries change, in every row and column, and the others keep their values."""
    plain = g.logit_normal_times((300, 200), generator=seeded(1))
    mixed = g.logit_normal_times((300, 200), uniform_prob=0.1, generator=seeded(1))
    changed = (plain != mixed).float()
    assert abs(changed.mean() - 0.1) < 0.006
    assert (changed.mean(0) - 0.1).abs().max() < 0.1
    assert (changed.mean(1) - 0.1).abs().max() < 0.1


def the_scale_acts_on_the_interval_and_its_ends(g):
    guidance = g.IntervalGuidance(1.5, 0.145, 0.505)
    assert [guidance.at(t) for t in (0.145, 0.3, 0.505)] == [1.5, 1.5, 1.5]
    assert [guidance.at(t) for t in (0.0, 0.1449, 0.5051, 1.0)] == [1.0, 1.0, 1.0, 1.0]
    assert [g.IntervalGuidance(0.0, 0.5, 0.5).at(t) for t in (0.4, 0.5, 0.6)] == [1.0, 0.0, 1.0]


CHECKS = [
    times_follow_the_mixture,
    without_a_uniform_share_the_draws_are_the_old_ones,
    each_time_is_replaced_on_its_own,
    the_scale_acts_on_the_interval_and_its_ends,
]

MUTANTS = [
    ("flow_matching", "< uniform_prob", "< uniform_prob / 2", times_follow_the_mixture),
    ("flow_matching", "< uniform_prob", "> uniform_prob", times_follow_the_mixture),
    ("flow_matching", ".where(replaced, even, times)", ".where(replaced, even / 2, times)", times_follow_the_mixture),
    ("flow_matching", "if uniform_prob == 0:", "if False:", without_a_uniform_share_the_draws_are_the_old_ones),
    (
        "flow_matching",
        "replaced = uniform(shape, device",
        "replaced = uniform((*shape[:1], 1), device",
        each_time_is_replaced_on_its_own,
    ),
    (
        "guidance",
        "if self.low <= t <= self.high else",
        "if t <= self.high else",
        the_scale_acts_on_the_interval_and_its_ends,
    ),
    (
        "guidance",
        "if self.low <= t <= self.high else",
        "if self.low < t < self.high else",
        the_scale_acts_on_the_interval_and_its_ends,
    ),
    ("guidance", "self.high else 1.0", "self.high else 0.0", the_scale_acts_on_the_interval_and_its_ends),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_that(check):
    check(generators)


@pytest.mark.parametrize(("module", "old", "new", "check"), MUTANTS)
def test_a_planted_bug_is_caught(module, old, new, check):
    importlib.import_module("vistok.generators")
    with mutated("vistok.generators", module, old, new) as package:
        with pytest.raises((AssertionError, RuntimeError)):
            check(package)


@given(st.floats(0, 1), st.integers(0, 10**6), st.lists(st.integers(1, 6), max_size=3))
def test_times_lie_strictly_between_data_and_noise(prob, seed, shape):
    t = generators.logit_normal_times(shape, uniform_prob=prob, generator=seeded(seed))
    assert t.dtype == torch.float32
    assert list(t.shape) == shape
    assert ((t > 0) & (t < 1)).all()
    assert torch.equal(t, generators.logit_normal_times(shape, uniform_prob=prob, generator=seeded(seed)))


def test_a_uniform_draw_of_zero_does_not_give_the_time_zero(monkeypatch):
    flow = importlib.import_module("vistok.generators.flow_matching")
    monkeypatch.setattr(flow, "uniform", lambda shape, device, generator: torch.zeros(shape))
    assert (generators.logit_normal_times((5,), uniform_prob=0.5) > 0).all()


@given(st.floats(0, 10), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_scale_is_the_given_one_inside_and_one_outside(scale, first, second, t):
    low, high = sorted((first, second))
    guidance = generators.IntervalGuidance(scale, low, high)
    assert guidance.at(t) == (scale if low <= t and t <= high else 1)
    assert guidance.at(low) == guidance.at(high) == scale


def test_a_whole_interval_is_constant_guidance_along_the_solver():
    """And guiding nowhere is the conditional flow, without a call of the unconditional one."""
    start, times = torch.linspace(-1, 1, 5).double(), generators.power_times(25)
    calls = []

    def run(guidance):
        def velocity(x, t):
            scale, conditional = guidance.at(t), x - 2 * t
            if scale == 1:
                return conditional
            calls.append(t)
            return generators.guide(conditional, 0.5 * x, scale)

        return generators.solve_ode(velocity, start, times)

    constant = run(generators.Guidance(1.5))
    torch.testing.assert_close(run(generators.IntervalGuidance(1.5, 0.0, 1.0)), constant, atol=0, rtol=0)
    calls.clear()
    run(generators.IntervalGuidance(1.5, 0.145, 0.505))
    assert calls == [t for t in times.tolist()[:-1] if 0.145 <= t <= 0.505]
    assert len(calls) == 6
