"""What flow matching, its solvers and guidance must satisfy; each check takes the package, so it can judge a mutant."""

import math

import torch
from torch import Tensor


def gaussian_velocity(mean: float, deviation: float):
    """E[noise - x | x_t] for x ~ N(mean, deviation^2), by conditioning of jointly normal variables."""

    def velocity(x: Tensor, t: float) -> Tensor:
        variance = (1 - t) ** 2 * deviation**2 + t**2
        return -mean + (t - (1 - t) * deviation**2) / variance * (x - (1 - t) * mean)

    return velocity


def ode_error(g, method: str, steps: int) -> float:
    start = torch.linspace(-2, 2, 5, dtype=torch.float64)
    end = g.solve_ode(gaussian_velocity(1.5, 0.5), start, g.uniform_times(steps), method=method)
    return (end - (1.5 + 0.5 * start)).abs().max().item()


def euler_error_falls_with_order_one(g):
    assert 1.8 < ode_error(g, "euler", 64) / ode_error(g, "euler", 128) < 2.2


def heun_error_falls_with_order_two(g):
    assert 3.6 < ode_error(g, "heun", 64) / ode_error(g, "heun", 128) < 4.4


def the_ode_solvers_reach_the_gaussian_target(g):
    assert ode_error(g, "euler", 512) < 0.01
    assert ode_error(g, "heun", 64) < 1e-3


def the_solver_takes_any_monotone_grid_and_runs_back(g):
    times = g.power_times(200, power=2.0)
    start = torch.tensor([0.3, -1.1], dtype=torch.float64)
    velocity = gaussian_velocity(0.2, 0.8)
    end = g.solve_ode(velocity, start, times, method="heun")
    torch.testing.assert_close(end, 0.2 + 0.8 * start, atol=1e-3, rtol=0)
    torch.testing.assert_close(g.solve_ode(velocity, end, times.flip(0), method="heun"), start, atol=1e-3, rtol=0)


def sde_moments(g, steps: int) -> tuple[float, float]:
    rng = torch.Generator().manual_seed(steps)
    start = torch.randn(400_000, generator=rng, dtype=torch.float64)
    end = g.solve_sde(gaussian_velocity(1.5, 0.5), start, g.uniform_times(steps), generator=rng)
    return end.mean().item(), end.var().item()


def euler_maruyama_reaches_the_moments_of_the_target(g):
    mean, variance = sde_moments(g, 100)
    assert abs(mean - 1.5) < 0.01
    assert abs(variance - 0.25) < 0.01


def euler_maruyama_error_falls_with_weak_order_one(g):
    errors = [abs(sde_moments(g, steps)[1] - 0.25) for steps in (16, 32)]
    assert 1.5 < errors[0] / errors[1] < 2.6


def one_sde_step_by_hand(g):
    """t = 1 to 0.5 to 0 with v = 2 everywhere: d = (2 - t) v + x; noise only in the first step."""
    draw = torch.randn(1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x = torch.tensor([4.0], dtype=torch.float64)
    middle = 4 - 0.5 * (2 + 4) + math.sqrt(2 * 1 * 0.5) * draw
    expected = middle - 0.5 * (1.5 * 2 + middle)
    rng = torch.Generator().manual_seed(3)
    got = g.solve_sde(lambda x, t: torch.full_like(x, 2.0), x, g.uniform_times(2), generator=rng)
    torch.testing.assert_close(got, expected)


def without_diffusion_the_sde_is_the_euler_ode(g):
    start = torch.linspace(-1, 1, 4, dtype=torch.float64)
    velocity = gaussian_velocity(0.3, 0.7)
    got = g.solve_sde(velocity, start, g.uniform_times(5), diffusion=lambda t: 0.0)
    torch.testing.assert_close(got, g.solve_ode(velocity, start, g.uniform_times(5)))


def conversions_invert_each_other(g):
    rng = torch.Generator().manual_seed(0)
    data, noise = torch.randn(2, 3, 5, generator=rng, dtype=torch.float64)
    for t in (0.04, 0.3, 0.9):
        x_t, velocity = g.flow_path(data, noise, torch.tensor(t, dtype=torch.float64))
        torch.testing.assert_close(x_t, data + t * (noise - data))
        torch.testing.assert_close(g.velocity_to_data(velocity, x_t, t), data)
        torch.testing.assert_close(g.velocity_to_noise(velocity, x_t, t), noise)
        torch.testing.assert_close(g.velocity_to_score(velocity, x_t, t), -noise / t)
        torch.testing.assert_close(g.data_to_velocity(data, x_t, t), velocity)
        torch.testing.assert_close(g.noise_to_velocity(noise, x_t, t), velocity)
        torch.testing.assert_close(g.score_to_velocity(-noise / t, x_t, t), velocity)


def the_published_grid_ends_with_one_jump(g):
    grid = g.late_jump_times(25)
    assert len(grid) == 26
    assert grid[0] == 1
    assert grid[-1] == 0
    assert abs(grid[-2].item() - 0.04) < 1e-12
    torch.testing.assert_close(grid[:-1].diff(), torch.full((24,), -0.04, dtype=torch.float64))


def training_times_are_logit_normal(g):
    t = g.logit_normal_times((100_000,), generator=torch.Generator().manual_seed(0))
    logit = (t / (1 - t)).log()
    assert abs(logit.mean().item()) < 0.02
    assert abs(logit.std().item() - 1) < 0.02


def guidance_schedules_by_hand(g):
    conditional, unconditional = torch.tensor([3.0]), torch.tensor([1.0])
    assert g.guide(conditional, unconditional, 2.5).item() == 6.0
    assert g.guide(conditional, unconditional, 0.0).item() == 1.0
    assert g.guide(conditional, unconditional, 1.0) is conditional
    assert [g.Guidance(3.0, "linear").at(p) for p in (0.0, 0.25, 1.0)] == [1.0, 1.5, 3.0]
    assert g.Guidance(3.0).at(0.0) == 3.0
    cosine = g.Guidance(5.0, "power_cosine", power=2.0)
    assert math.isclose(cosine.at(0.5), 1 + 4 * 0.5 * (1 - math.cos(math.pi * 0.25)))
    assert cosine.at(0.0) == 1
    assert math.isclose(cosine.at(1.0), 5)


def the_other_convention_converts(g):
    """c + s'(c - u) with a power-cosine s' equals u + s(c - u) with the converted schedule."""
    conditional, unconditional = torch.tensor([3.0]), torch.tensor([0.5])
    schedule = g.Guidance.from_extrapolation(7.1, "power_cosine", power=2.5)
    for progress in (0.0, 0.4, 1.0):
        other = 7.1 * 0.5 * (1 - math.cos(math.pi * progress**2.5))
        expected = conditional + other * (conditional - unconditional)
        torch.testing.assert_close(g.guide(conditional, unconditional, schedule.at(progress)), expected)


CHECKS = [
    value
    for value in list(globals().values())
    if callable(value)
    and getattr(value, "__code__", None)
    and value.__code__.co_varnames[:1] == ("g",)
    and value.__code__.co_argcount == 1
    and value.__name__ != "variants"
]
