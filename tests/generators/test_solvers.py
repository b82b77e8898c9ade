"""Euler, Heun and Euler-Maruyama along flows of known moments."""

import math

import torch
from torch import Tensor

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import jump_times, late_jump_times, power_times, solve_ode, solve_sde, uniform_times

SUBJECT = "vistok.generators.flow.solvers"


def gaussian_velocity(mean: float, deviation: float):
    """E[noise - x | x_t] for x ~ N(mean, deviation^2), by conditioning of jointly normal variables."""

    def velocity(x: Tensor, t: float) -> Tensor:
        variance = (1 - t) ** 2 * deviation**2 + t**2
        return -mean + (t - (1 - t) * deviation**2) / variance * (x - (1 - t) * mean)

    return velocity


def ode_error(method: str, steps: int) -> float:
    start = torch.linspace(-2, 2, 5, dtype=torch.float64)
    end = solve_ode(gaussian_velocity(1.5, 0.5), start, uniform_times(steps), method=method)
    return (end - (1.5 + 0.5 * start)).abs().max().item()


def test_euler_error_falls_with_order_one():
    assert 1.8 < ode_error("euler", 64) / ode_error("euler", 128) < 2.2


@catches(SUBJECT, "(slope + velocity(x + step * slope, then)) / 2", "(slope + velocity(x + step * slope, now)) / 2")
def test_heun_error_falls_with_order_two():
    assert 3.6 < ode_error("heun", 64) / ode_error("heun", 128) < 4.4


def test_the_ode_solvers_reach_the_gaussian_target():
    assert ode_error("euler", 512) < 0.01
    assert ode_error("heun", 64) < 1e-3


def test_the_solver_takes_any_monotone_grid_and_runs_back():
    times = power_times(200, power=2.0)
    start = torch.tensor([0.3, -1.1], dtype=torch.float64)
    velocity = gaussian_velocity(0.2, 0.8)
    end = solve_ode(velocity, start, times, method="heun")
    torch.testing.assert_close(end, 0.2 + 0.8 * start, atol=1e-3, rtol=0)
    torch.testing.assert_close(solve_ode(velocity, end, times.flip(0), method="heun"), start, atol=1e-3, rtol=0)


@catches(SUBJECT, "(times <= at) & (times > 0)", "(times < at) & (times > 0)")
@catches(SUBJECT, "(times > 0)][:1]", "(times > 0)]")
@catches(SUBJECT, "times[times > at], first", "times[times > at]")
def test_a_jump_leaves_the_grid_at_its_first_time_that_is_late_enough_and_adds_no_step():
    times = uniform_times(4)
    assert jump_times(times, 0.5).tolist() == [1.0, 0.75, 0.5, 0.0]
    assert jump_times(times, 0.6).tolist() == [1.0, 0.75, 0.5, 0.0]
    assert jump_times(times, 0.1).tolist() == times.tolist()
    assert jump_times(uniform_times(1), 0.5).tolist() == [1.0, 0.0]
    data, noise = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 3.0])
    torch.testing.assert_close(solve_ode(lambda x, t: noise - data, noise, jump_times(times, 0.5)), data)


def sde_moments(steps: int) -> tuple[float, float]:
    rng = seeded(steps)
    start = torch.randn(400_000, generator=rng, dtype=torch.float64)
    end = solve_sde(gaussian_velocity(1.5, 0.5), start, uniform_times(steps), generator=rng)
    return end.mean().item(), end.var().item()


def test_euler_maruyama_reaches_the_moments_of_the_target():
    mean, variance = sde_moments(100)
    assert abs(mean - 1.5) < 0.01
    assert abs(variance - 0.25) < 0.01


def test_euler_maruyama_error_falls_with_weak_order_one():
    errors = [abs(sde_moments(steps)[1] - 0.25) for steps in (16, 32)]
    assert 1.5 < errors[0] / errors[1] < 2.6


@catches(SUBJECT, "0.5 * weight * velocity_to_score", "weight * velocity_to_score")
@catches(SUBJECT, "(weight * -step) ** 0.5", "weight * (-step) ** 0.5")
@catches(SUBJECT, "if index < len(grid) - 2:", "if index < len(grid) - 1:")
def test_one_sde_step_by_hand():
    """t = 1 to 0.5 to 0 with v = 2 everywhere: d = (2 - t) v + x; noise only in the first step."""
    draw = torch.randn(1, generator=seeded(3), dtype=torch.float64)
    x = torch.tensor([4.0], dtype=torch.float64)
    middle = 4 - 0.5 * (2 + 4) + math.sqrt(2 * 1 * 0.5) * draw
    expected = middle - 0.5 * (1.5 * 2 + middle)
    rng = seeded(3)
    got = solve_sde(lambda x, t: torch.full_like(x, 2.0), x, uniform_times(2), generator=rng)
    torch.testing.assert_close(got, expected)


def test_without_diffusion_the_sde_is_the_euler_ode():
    start = torch.linspace(-1, 1, 4, dtype=torch.float64)
    velocity = gaussian_velocity(0.3, 0.7)
    got = solve_sde(velocity, start, uniform_times(5), diffusion=lambda t: 0.0)
    torch.testing.assert_close(got, solve_ode(velocity, start, uniform_times(5)))


@catches(
    SUBJECT,
    'torch.linspace(1, last, _positive(num_steps), dtype=torch.float64, device="cpu")',
    'torch.linspace(1, last, _positive(num_steps) + 1, dtype=torch.float64, device="cpu")',
)
def test_the_published_grid_ends_with_one_jump():
    grid = late_jump_times(25)
    assert len(grid) == 26
    assert grid[0] == 1
    assert grid[-1] == 0
    assert abs(grid[-2].item() - 0.04) < 1e-12
    torch.testing.assert_close(grid[:-1].diff(), torch.full((24,), -0.04, dtype=torch.float64))
