"""The path between data and noise, and training times."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import (
    data_to_velocity,
    flow_path,
    logit_normal_times,
    noise_to_velocity,
    score_to_velocity,
    velocity_to_data,
    velocity_to_noise,
    velocity_to_score,
)
from vistok.generators.flow import flow_matching

SUBJECT = "vistok.generators.flow.flow_matching"


@catches(SUBJECT, "(1 - t) * x + t * noise, noise - x", "(1 - t) * x + t * noise, x - noise")
@catches(SUBJECT, "return -(x_t + (1 - t) * velocity) / t", "return -(x_t + t * velocity) / t")
def test_conversions_invert_each_other():
    rng = seeded(0)
    data, noise = torch.randn(2, 3, 5, generator=rng, dtype=torch.float64)
    for t in (0.04, 0.3, 0.9):
        x_t, velocity = flow_path(data, noise, torch.tensor(t, dtype=torch.float64))
        torch.testing.assert_close(x_t, data + t * (noise - data))
        torch.testing.assert_close(velocity_to_data(velocity, x_t, t), data)
        torch.testing.assert_close(velocity_to_noise(velocity, x_t, t), noise)
        torch.testing.assert_close(velocity_to_score(velocity, x_t, t), -noise / t)
        torch.testing.assert_close(data_to_velocity(data, x_t, t), velocity)
        torch.testing.assert_close(noise_to_velocity(noise, x_t, t), velocity)
        torch.testing.assert_close(score_to_velocity(-noise / t, x_t, t), velocity)


@given(st.floats(0, 1), st.integers(0, 1000))
def test_the_path_runs_from_data_to_noise(t, seed):
    data, noise = torch.randn(2, 5, generator=seeded(seed), dtype=torch.float64)
    x_t, velocity = flow_path(data, noise, torch.tensor(t, dtype=torch.float64))
    torch.testing.assert_close(x_t - t * velocity, data)
    torch.testing.assert_close(x_t + (1 - t) * velocity, noise)


@catches(SUBJECT, "generator).sigmoid()", "generator).sigmoid().square()")
def test_training_times_are_logit_normal():
    t = logit_normal_times((100_000,), generator=seeded(0))
    logit = (t / (1 - t)).log()
    assert abs(logit.mean().item()) < 0.02
    assert abs(logit.std().item() - 1) < 0.02


def mixture_cdf(t: torch.Tensor, uniform_prob: float) -> torch.Tensor:
    """P(T <= t): sigma(u) <= t exactly when u <= log t/(1 - t), and a uniform time is below t with probability t."""
    normal = 0.5 * torch.erfc(-(t / (1 - t)).log() / math.sqrt(2))
    return (1 - uniform_prob) * normal + uniform_prob * t


@catches(SUBJECT, "< uniform_prob", "< uniform_prob / 2")
@catches(SUBJECT, "< uniform_prob", "> uniform_prob")
@catches(SUBJECT, ".where(replaced, even, times)", ".where(replaced, even / 2, times)")
def test_times_follow_the_mixture():
    """Kolmogorov's distance of n draws exceeds 1.95 / sqrt(n) once in a thousand samples."""
    count = 200_000
    for seed, prob in enumerate((0.0, 0.1, 0.5, 1.0)):
        t = logit_normal_times((count,), uniform_prob=prob, generator=seeded(seed)).double().sort().values
        expected = mixture_cdf(t, prob)
        steps = torch.arange(count + 1, dtype=torch.float64) / count
        distance = torch.maximum((steps[1:] - expected).max(), (expected - steps[:-1]).max())
        assert distance < 1.95 / count**0.5


@catches(SUBJECT, "if uniform_prob == 0:", "if False:")
def test_without_a_uniform_share_the_draws_are_the_old_ones():
    rng, old = seeded(3), seeded(3)
    for shape in ((7,), (4, 5)):
        assert torch.equal(logit_normal_times(shape, generator=rng), torch.randn(shape, generator=old).sigmoid())
        assert torch.equal(
            logit_normal_times(shape, uniform_prob=0.0, generator=rng), torch.randn(shape, generator=old).sigmoid()
        )
    assert torch.equal(rng.get_state(), old.get_state())


@catches(SUBJECT, "replaced = uniform(shape, device", "replaced = uniform((*shape[:1], 1), device")
def test_each_time_is_replaced_on_its_own():
    """About a tenth of the entries change, in every row and column, and the others keep their values."""
    plain = logit_normal_times((300, 200), generator=seeded(1))
    mixed = logit_normal_times((300, 200), uniform_prob=0.1, generator=seeded(1))
    changed = (plain != mixed).float()
    assert abs(changed.mean() - 0.1) < 0.006
    assert (changed.mean(0) - 0.1).abs().max() < 0.1
    assert (changed.mean(1) - 0.1).abs().max() < 0.1


@given(st.floats(0, 1), st.integers(0, 10**6), st.lists(st.integers(1, 6), max_size=3))
def test_times_lie_strictly_between_data_and_noise(prob, seed, shape):
    t = logit_normal_times(shape, uniform_prob=prob, generator=seeded(seed))
    assert t.dtype == torch.float32
    assert list(t.shape) == shape
    assert ((t > 0) & (t < 1)).all()
    assert torch.equal(t, logit_normal_times(shape, uniform_prob=prob, generator=seeded(seed)))


def test_a_uniform_draw_of_zero_does_not_give_the_time_zero(monkeypatch):
    monkeypatch.setattr(flow_matching, "uniform", lambda shape, device, generator: torch.zeros(shape))
    assert (logit_normal_times((5,), uniform_prob=0.5) > 0).all()
