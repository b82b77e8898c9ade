"""The straight path between data and noise, and the conversions between what a network may predict."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.generators._random import normal, uniform


class FlowSample(NamedTuple):
    """A point of the path and the velocity there.

    Args:
        x_t: The point.
        velocity: The derivative of the path, noise minus data.

    Example:
        >>> import torch
        >>> FlowSample(torch.zeros(1), torch.ones(1)).velocity.item()
        1.0
    """

    x_t: Tensor
    velocity: Tensor


def flow_path(x: Tensor, noise: Tensor, t: Tensor) -> FlowSample:
    r"""Point at time ``t`` of the straight path from data (``t = 0``) to noise (``t = 1``).

    .. math:: x_t = (1 - t)\,x + t\,\epsilon, \qquad v = \epsilon - x

    Source:
        Lipman et al. 2022, arXiv:2210.02747, Section 4; time runs as in xAR (arXiv:2502.20388), data at 0.

    Args:
        x: Data.
        noise: Standard normal noise.
        t: Time in ``[0, 1]``.

    Shape:
        ``x`` and ``noise`` alike; ``t`` broadcastable to them; both results like ``x``.

    Range:
        ``x_t`` is ``x`` at ``t = 0`` and ``noise`` at ``t = 1``.

    Gradient:
        Flows to ``x``, ``noise`` and ``t``.

    Raises:
        ValueError: ``x`` and ``noise`` differ in shape.

    Example:
        >>> import torch
        >>> sample = flow_path(torch.tensor([2.0]), torch.tensor([6.0]), torch.tensor([0.25]))
        >>> sample.x_t.item(), sample.velocity.item()
        (3.0, 4.0)
    """
    if x.shape != noise.shape:
        raise ValueError(f"x and noise must have one shape, got {tuple(x.shape)} and {tuple(noise.shape)}")
    return FlowSample((1 - t) * x + t * noise, noise - x)


def velocity_to_data(velocity: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
    r"""Data estimate :math:`\hat x = x_t - t v`.

    Args:
        velocity: The velocity at ``x_t``.
        x_t: A point of the path of :func:`flow_path`.
        t: Its time.

    Example:
        >>> import torch
        >>> velocity_to_data(torch.tensor([4.0]), torch.tensor([3.0]), 0.25).item()
        2.0
    """
    return x_t - t * velocity


def velocity_to_noise(velocity: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
    r"""Noise estimate :math:`\hat\epsilon = x_t + (1 - t) v`.

    Args:
        velocity: The velocity at ``x_t``.
        x_t: A point of the path of :func:`flow_path`.
        t: Its time.

    Example:
        >>> import torch
        >>> velocity_to_noise(torch.tensor([4.0]), torch.tensor([3.0]), 0.25).item()
        6.0
    """
    return x_t + (1 - t) * velocity


def velocity_to_score(velocity: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
    r"""Score :math:`\nabla \log p_t(x_t) = -(x_t + (1 - t) v)/t`, for ``t > 0``.

    Args:
        velocity: The velocity at ``x_t``.
        x_t: A point of the path of :func:`flow_path`.
        t: Its time.

    Example:
        >>> import torch
        >>> velocity_to_score(torch.tensor([4.0]), torch.tensor([3.0]), 0.25).item()
        -24.0
    """
    return -(x_t + (1 - t) * velocity) / t


def data_to_velocity(data: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
    r"""Inverse of :func:`velocity_to_data`: :math:`v = (x_t - \hat x)/t`, for ``t > 0``.

    Args:
        data: The data at ``x_t``.
        x_t: A point of the path of :func:`flow_path`.
        t: Its time.

    Example:
        >>> import torch
        >>> data_to_velocity(torch.tensor([2.0]), torch.tensor([3.0]), 0.25).item()
        4.0
    """
    return (x_t - data) / t


def noise_to_velocity(noise: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
    r"""Inverse of :func:`velocity_to_noise`: :math:`v = (\hat\epsilon - x_t)/(1 - t)`, for ``t < 1``.

    Args:
        noise: The noise at ``x_t``.
        x_t: A point of the path of :func:`flow_path`.
        t: Its time.

    Example:
        >>> import torch
        >>> noise_to_velocity(torch.tensor([6.0]), torch.tensor([3.0]), 0.25).item()
        4.0
    """
    return (noise - x_t) / (1 - t)


def score_to_velocity(score: Tensor, x_t: Tensor, t: Tensor | float) -> Tensor:
    r"""Inverse of :func:`velocity_to_score`: :math:`v = -(x_t + t s)/(1 - t)`, for ``t < 1``.

    Args:
        score: The score at ``x_t``.
        x_t: A point of the path of :func:`flow_path`.
        t: Its time.

    Example:
        >>> import torch
        >>> score_to_velocity(torch.tensor([-24.0]), torch.tensor([3.0]), 0.25).item()
        4.0
    """
    return -(x_t + t * score) / (1 - t)


def logit_normal_times(
    shape: Sequence[int],
    *,
    uniform_prob: float = 0.0,
    device: torch.device | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Training times :math:`t = \sigma(u),\; u \sim N(0, 1)`, float32; now and then a uniform one instead.

    Source:
        Esser et al. 2024, arXiv:2403.03206, Eq. 19 with location 0 and scale 1; used by xAR. The uniform share:
        FlowMo (arXiv:2503.11056), the published code, 0.1.

    Args:
        shape: Shape of the result.
        uniform_prob: Probability, of each time on its own, that it is drawn from :math:`U(0, 1)`; 0 draws nothing more.
        device: Where it goes; the CPU by default.
        generator: Makes the draws.

    Range:
        ``(0, 1)``, symmetric about one half.

    Raises:
        ValueError: ``uniform_prob`` outside ``[0, 1]``.

    Example:
        >>> import torch
        >>> logit_normal_times((2, 4), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2, 4])
    """
    if not 0 <= uniform_prob <= 1:
        raise ValueError(f"uniform_prob must lie in [0, 1], got {uniform_prob}")
    device = device or torch.device("cpu")
    times = normal(shape, device, generator).sigmoid()
    if uniform_prob == 0:
        return times
    replaced = uniform(shape, device, generator) < uniform_prob
    even = uniform(shape, device, generator).clamp_min(2**-25)  # half the step between draws: never 0
    return torch.where(replaced, even, times)
