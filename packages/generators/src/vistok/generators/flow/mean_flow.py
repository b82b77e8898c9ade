"""Mean flow: the average velocity between two times, which one step follows to its end, and how it is learned."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

AverageVelocity = Callable[[Tensor, Tensor, Tensor], Tensor]


class MeanVelocity(NamedTuple):
    """An average velocity, and how it changes along the path as its later time does.

    Args:
        value: The average velocity from ``r`` to ``t``.
        derivative: Its total derivative by ``t``, without a gradient.

    Example:
        >>> import torch
        >>> MeanVelocity(torch.ones(1), torch.zeros(1)).value.item()
        1.0
    """

    value: Tensor
    derivative: Tensor


def mean_velocity(network: AverageVelocity, x_t: Tensor, r: Tensor, t: Tensor, velocity: Tensor) -> MeanVelocity:
    r"""An average velocity with its derivative along the path, by one forward derivative of the network.

    .. math:: u(z_t, r, t) = \frac{1}{t - r} \int_r^t v(z_\tau, \tau)\, d\tau, \qquad
        \frac{d}{dt} u = v\,\partial_z u + \partial_t u

    PyTorch's fused attention has no forward derivative: attention is computed plainly while this runs.

    Source:
        Geng et al. 2025 (MeanFlow), arXiv:2505.13447, Eq. 3 and 8; time 1 is noise there, too.

    Args:
        network: Called with points, their earlier times and their own.
        x_t: Points of the path of :func:`flow_path` at ``t``.
        r: Earlier times, ``<= t``.
        t: Times of the points.
        velocity: The path's velocity there.

    Shape:
        ``velocity`` like ``x_t``, ``r`` and ``t`` alike, as the network takes them; both results like its output.

    Gradient:
        Of ``value`` to the network; ``derivative`` has none.

    Example:
        >>> import torch
        >>> times = torch.tensor([0.25]), torch.tensor([0.75])
        >>> value, derivative = mean_velocity(lambda x, r, t: x * t, torch.tensor([2.0]), *times, torch.tensor([4.0]))
        >>> value.item(), derivative.item()
        (1.5, 5.0)
    """
    tangents = (velocity, torch.zeros_like(r), torch.ones_like(t))
    with sdpa_kernel(SDPBackend.MATH):
        both: Any = torch.func.jvp(network, (x_t, r, t), tangents)
    value, derivative = both
    return MeanVelocity(value, derivative.detach())


def mean_flow_target(velocity: Tensor, derivative: Tensor, r: Tensor, t: Tensor) -> Tensor:
    r"""What an average velocity is to be, by its identity with the velocity; no integral is needed.

    .. math:: u = v - (t - r)\,\frac{d}{dt} u

    Source:
        Geng et al. 2025, arXiv:2505.13447, Eq. 6 and 10.

    Args:
        velocity: The path's velocity at ``t``.
        derivative: Of the network's average velocity, by :func:`mean_velocity`.
        r: Earlier times, broadcastable to the velocity.
        t: Its times, likewise.

    Gradient:
        None: a target.

    Example:
        >>> import torch
        >>> mean_flow_target(torch.tensor([4.0]), torch.tensor([2.0]), torch.tensor(0.25), torch.tensor(0.75)).item()
        3.0
    """
    return (velocity - (t - r) * derivative).detach()


def mean_flow_loss(predicted: Tensor, target: Tensor, *, power: float = 1.0, offset: float = 1e-3) -> Tensor:
    r"""Squared error, each sample's divided by a power of itself: large errors do not outweigh the others.

    .. math:: \mathcal{L} = \frac{1}{B}\sum_b \frac{d_b}{\mathrm{sg}(d_b + c)^p}, \qquad
        d_b = \mathrm{mean}(u - \hat u)^2

    Source:
        Geng et al. 2025, arXiv:2505.13447, Section 4.3 (adaptive loss weighting); the mean in place of the sum over
        a sample's values, so that ``c`` does not depend on their number.

    Args:
        predicted: The network's average velocity.
        target: Of :func:`mean_flow_target`.
        power: ``p``; 0 is the mean squared error.
        offset: ``c``, ``> 0``.

    Shape:
        Both ``(B, ...)``; the result is a scalar, float32 or wider.

    Range:
        ``>= 0``; with ``power = 1`` below 1.

    Gradient:
        Flows to ``predicted`` alone.

    Raises:
        ValueError: The shapes differ or have one dimension, or ``offset`` is not ``> 0``.

    Example:
        >>> import torch
        >>> round(mean_flow_loss(torch.zeros(2, 3), torch.full((2, 3), 2.0), offset=1.0).item(), 4)
        0.8
    """
    if predicted.shape != target.shape:
        raise ValueError(
            f"predicted and target must have one shape, got {tuple(predicted.shape)} and {tuple(target.shape)}"
        )
    if predicted.ndim < 2:
        raise ValueError(f"predicted must have shape (B, ...), got {tuple(predicted.shape)}")
    if not offset > 0:
        raise ValueError(f"offset must be > 0, got {offset}")
    wide = predicted if predicted.dtype == torch.float64 else predicted.float()
    error = (wide - target.detach()).square().flatten(1).mean(dim=1)
    return (error / (error.detach() + offset) ** power).mean()


def solve_mean_flow(network: Callable[[Tensor, float, float], Tensor], x: Tensor, times: Tensor) -> Tensor:
    r"""Carry ``x`` from noise to data by average velocities: :math:`z_r = z_t - (t - r)\,u(z_t, r, t)`.

    Source:
        Geng et al. 2025, arXiv:2505.13447, Eq. 12.

    Args:
        network: Called with the state, the time where the step ends and that where it begins, as floats.
        x: State at ``times[0]``.
        times: A falling grid; of two points for one step.

    Shape:
        ``x`` of any shape; ``times`` ``(S + 1,)``; the result like ``x``.

    Gradient:
        Flows through the whole chain.

    Example:
        >>> import torch
        >>> solve_mean_flow(lambda x, r, t: torch.ones_like(x), torch.ones(1), torch.tensor([1.0, 0.5, 0.0])).item()
        0.0
    """
    for t, r in pairwise(times.tolist()):
        x = x - (t - r) * network(x, r, t)
    return x
