"""Classifier-free guidance in one convention, with its schedules."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal

from torch import Tensor


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    r"""Push the conditional output away from the unconditional one.

    .. math:: u + s\,(c - u)

    This is the only convention here: ``1`` is no guidance, ``0`` the unconditional output. Other texts write
    :math:`c + s'(c - u)`; then ``s = s' + 1``, see :meth:`Guidance.from_extrapolation`.

    Source:
        Ho and Salimans 2022, arXiv:2207.12598, Eq. 6 with ``s = 1 + w``.

    Args:
        conditional: Output for the label, ``c``.
        unconditional: Output for the null label, ``u``.
        scale: ``s``.

    Shape:
        Both outputs alike, of any shape; the result like them.

    Range:
        Exactly ``conditional`` at scale 1.

    Gradient:
        Flows to both.

    Example:
        >>> import torch
        >>> guide(torch.tensor(3.0), torch.tensor(1.0), 2.0).item()
        5.0
    """
    if scale == 1:
        return conditional
    return unconditional + scale * (conditional - unconditional)


@dataclass(frozen=True)
class Guidance:
    r"""A guidance scale and how it grows while a sample is being made.

    With progress :math:`\rho \in [0, 1]`:

    - constant: :math:`s`
    - linear: :math:`1 + (s - 1)\,\rho`
    - power_cosine: :math:`1 + (s - 1)\,\tfrac12 (1 - \cos \pi\rho^p)`

    Source:
        linear: MAR (arXiv:2406.11838) and xAR (arXiv:2502.20388); power_cosine: TiTok (arXiv:2406.07550) and
        MaskBit (arXiv:2409.16211).

    Args:
        scale: The scale ``s`` in the convention of :func:`guide`, ``>= 0``; reached at progress 1.
        kind: The schedule.
        power: The exponent ``p`` of ``power_cosine``, finite and ``> 0``.
        clock: What counts as progress in masked sampling: the fraction of units ``"known"`` after the step (MAR, whose
            code counts one unit as hidden after the last, too) or the ``"step"`` number over the number of steps, from
            0 (TiTok). The other samplers have one clock.

    Range:
        :meth:`at` lies between 1 and ``scale`` (constant: equals it).

    Raises:
        ValueError: A value outside its range, or an unknown kind or clock.

    Example:
        >>> Guidance(3.0, "linear").at(0.5)
        2.0
        >>> Guidance.from_extrapolation(7.1, "power_cosine", power=3.0).at(1.0)
        8.1
    """

    scale: float
    kind: Literal["constant", "linear", "power_cosine"] = "constant"
    power: float = 3.0
    clock: Literal["known", "step"] = "known"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise ValueError(f"guidance scale must be finite and >= 0, got {self.scale}")
        if not (math.isfinite(self.power) and self.power > 0):
            raise ValueError(f"guidance power must be finite and > 0, got {self.power}")
        if self.kind not in ("constant", "linear", "power_cosine"):
            raise ValueError(f"guidance kind must be 'constant', 'linear' or 'power_cosine', got {self.kind!r}")
        if self.clock not in ("known", "step"):
            raise ValueError(f"guidance clock must be 'known' or 'step', got {self.clock!r}")

    @classmethod
    def from_extrapolation(
        cls,
        scale: float,
        kind: Literal["constant", "linear", "power_cosine"] = "constant",
        *,
        power: float = 3.0,
        clock: Literal["known", "step"] = "step",
    ) -> "Guidance":
        """Convert a scale ``s'`` meant for ``c + s' (c - u)``, as MaskBit and TiTok's linear schedule use it."""
        return cls(scale + 1, kind, power, clock)

    def at(self, progress: float) -> float:
        """Scale at ``progress`` in ``[0, 1]``."""
        if self.kind == "constant":
            return self.scale
        if self.kind == "linear":
            return 1 + (self.scale - 1) * progress
        return 1 + (self.scale - 1) * 0.5 * (1 - math.cos(math.pi * progress**self.power))


@dataclass(frozen=True)
class IntervalGuidance:
    r"""A guidance scale that acts only while the flow time lies in an interval.

    .. math:: s(t) = s \text{ for } t_{low} \le t \le t_{high}, \text{ else } 1

    Outside the unconditional output is not needed, so half of the work is saved there. Papers that give the interval
    as noise levels :math:`\sigma` of ``x + sigma * noise`` mean :math:`t = \sigma/(1 + \sigma)` here.

    Source:
        Kynkäänniemi et al. 2024, arXiv:2404.07724, Section 3; FlowMo (arXiv:2503.11056), the published sampler: 1.5 in
        ``[0.145, 0.505]``.

    Args:
        scale: The scale ``s`` in the convention of :func:`guide`, ``>= 0``.
        low: First guided time, in the convention of :func:`~vistok.generators.flow_path`: data at 0, noise at 1.
        high: Last guided time; ``0 <= low <= high <= 1``.

    Range:
        :meth:`at` is ``scale`` or exactly 1.

    Raises:
        ValueError: A value outside its range.

    Example:
        >>> guidance = IntervalGuidance(1.5, 0.145, 0.505)
        >>> [guidance.at(t) for t in (1.0, 0.5, 0.1)]
        [1.0, 1.5, 1.0]
    """

    scale: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise ValueError(f"guidance scale must be finite and >= 0, got {self.scale}")
        if not 0 <= self.low <= self.high <= 1:
            raise ValueError(f"guidance interval must satisfy 0 <= low <= high <= 1, got {self.low} and {self.high}")

    def at(self, t: float) -> float:
        """Scale at flow time ``t``."""
        return self.scale if self.low <= t <= self.high else 1.0


def as_guidance(guidance: "float | Guidance", kind: Literal["constant", "linear"]) -> Guidance:
    """A bare number means the published schedule of the model that asks.

    Example:
        >>> as_guidance(2.0, "linear")
        Guidance(scale=2.0, kind='linear', power=3.0, clock='known')
    """
    if isinstance(guidance, Guidance):
        return guidance
    if not isinstance(guidance, Real):
        raise TypeError(f"guidance must be a number or a Guidance, got {type(guidance).__name__}")
    return Guidance(float(guidance), kind)
