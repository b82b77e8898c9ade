"""Solvers for the flow: Euler and Heun for the ODE, Euler-Maruyama for the SDE, on any time grid."""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from vistok.generators._checks import check_whole
from vistok.generators._random import normal
from vistok.generators.flow.flow_matching import velocity_to_score

Velocity = Callable[[Tensor, float], Tensor]


def uniform_times(num_steps: int) -> Tensor:
    """Even grid from noise (1) to data (0) with ``num_steps`` steps, float64.

    Args:
        num_steps: Number of steps, ``>= 1``.

    Example:
        >>> uniform_times(4).tolist()
        [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    return torch.linspace(1, 0, _positive(num_steps) + 1, dtype=torch.float64, device="cpu")


def late_jump_times(num_steps: int, *, last: float = 0.04) -> Tensor:
    """Even grid from 1 to ``last``, then one jump to 0: the grid of xAR's sampler, float64.

    Source:
        xAR (arXiv:2502.20388), the published sampler.

    Args:
        num_steps: Number of steps, ``>= 1``.
        last: Time of the last point before 0.

    Example:
        >>> late_jump_times(3, last=0.5).tolist()
        [1.0, 0.75, 0.5, 0.0]
    """
    falling = torch.linspace(1, last, _positive(num_steps), dtype=torch.float64, device="cpu")
    return torch.cat([falling, falling.new_zeros(1)])


def power_times(num_steps: int, *, power: float = 4.0) -> Tensor:
    """Grid ``(j / num_steps) ** power``, fine near the data, float64.

    Source:
        FlowMo (arXiv:2503.11056), the published sampler, ``power = 4``.

    Args:
        num_steps: Number of steps, ``>= 1``.
        power: The exponent.

    Example:
        >>> power_times(2, power=2.0).tolist()
        [1.0, 0.25, 0.0]
    """
    return uniform_times(num_steps) ** power


def jump_times(times: Tensor, at: float) -> Tensor:
    """Follow a falling grid to its first time at or below ``at``, then go to 0 in one step: to the data estimate there.

    No step is added, and a grid that has nothing but 0 there stays as it is.

    Args:
        times: A grid that ends at 0.
        at: The time, in ``(0, 1)``.

    Example:
        >>> jump_times(uniform_times(4), 0.6).tolist()
        [1.0, 0.75, 0.5, 0.0]
    """
    first = times[(times <= at) & (times > 0)][:1]
    return torch.cat([times[times > at], first, times.new_zeros(1)])


def solve_ode(velocity: Velocity, x: Tensor, times: Tensor, *, method: Literal["euler", "heun"] = "euler") -> Tensor:
    r"""Carry ``x`` along the velocity field from ``times[0]`` to ``times[-1]``.

    Euler: :math:`x \leftarrow x + v(x, t)\,\Delta t` (order 1). Heun averages the velocity at both ends of the step
    (order 2) and takes two evaluations a step.

    Source:
        Any text on numerical ODEs; Karras et al. 2022, arXiv:2206.00364, Algorithm 1 for Heun in this use.

    Args:
        velocity: Called with the state and the time as a float.
        x: State at ``times[0]``.
        times: Any strictly monotone grid.
        method: ``"euler"`` or ``"heun"``.

    Shape:
        ``x`` of any shape; ``times`` ``(S + 1,)``; the result like ``x``.

    Range:
        As the flow maps it.

    Gradient:
        Flows through the whole chain.

    Raises:
        ValueError: An unknown method, or a grid that is not strictly monotone.

    Example:
        >>> import torch
        >>> solve_ode(lambda x, t: torch.ones_like(x), torch.ones(1), uniform_times(4)).item()
        0.0
    """
    if method not in ("euler", "heun"):
        raise ValueError(f"method must be 'euler' or 'heun', got {method!r}")
    grid = _grid(times)
    for now, then in pairwise(grid):
        step = then - now
        slope = velocity(x, now)
        if method == "heun":
            slope = (slope + velocity(x + step * slope, then)) / 2
        x = x + step * slope
    return x


def solve_sde(
    velocity: Velocity,
    x: Tensor,
    times: Tensor,
    *,
    generator: torch.Generator | None = None,
    diffusion: Callable[[float], float] = lambda t: 2 * t,
) -> Tensor:
    r"""Euler-Maruyama on the reverse SDE that has the marginals of the flow; the last step is free of noise.

    .. math:: x \leftarrow x + \left(v - \tfrac{w(t)}{2} s\right)\Delta t + \sqrt{w(t)\,|\Delta t|}\;\eta,
        \qquad s = -(x + (1 - t)\,v)/t

    With the default :math:`w(t) = 2t` the drift is :math:`(2 - t)\,v + x`.

    Source:
        Ma et al. 2024 (SiT), arXiv:2401.08740, Eq. 6; ``w`` and the noise-free last step as in xAR's sampler.

    Args:
        velocity: Called with the state and the time as a float.
        x: State at ``times[0]``.
        times: A strictly decreasing grid; only its last entry may be 0.
        generator: Draws the noise.
        diffusion: The function ``w``, ``>= 0``; zero everywhere gives the Euler ODE.

    Shape:
        As :func:`solve_ode`.

    Range:
        As the flow maps it.

    Gradient:
        Flows through the whole chain.

    Raises:
        ValueError: A grid that is not strictly decreasing.

    Example:
        >>> import torch
        >>> solve_sde(lambda x, t: torch.ones_like(x), torch.ones(1), uniform_times(1)).item()
        -1.0
    """
    grid = _grid(times)
    if grid[0] < grid[-1]:
        raise ValueError(f"solve_sde needs a decreasing time grid, got one from {grid[0]} to {grid[-1]}")
    for index, (now, then) in enumerate(pairwise(grid)):
        step = then - now
        slope = velocity(x, now)
        weight = diffusion(now)
        drift = slope - 0.5 * weight * velocity_to_score(slope, x, now)
        x = x + step * drift
        if index < len(grid) - 2:
            x = x + (weight * -step) ** 0.5 * normal(x.shape, x.device, generator, x.dtype)
    return x


def _positive(num_steps: int) -> int:
    check_whole("num_steps", num_steps, 1)
    return num_steps


def _grid(times: Tensor) -> list[float]:
    grid: list[float] = times.tolist()
    steps = [then - now for now, then in pairwise(grid)]
    if not steps or not (all(s > 0 for s in steps) or all(s < 0 for s in steps)):
        raise ValueError(f"times must be a strictly monotone grid of at least two points, got {grid}")
    return grid
