"""How much is masked: the schedules of masked generators."""

import math
from numbers import Integral
from typing import Literal

import torch
from torch import Tensor

MaskSchedule = Literal["cosine", "arccos", "linear", "truncated_normal"]


def mask_ratio(progress: Tensor, schedule: MaskSchedule) -> Tensor:
    r"""Masked fraction at ``progress``; with uniform ``progress`` a draw of the training ratio.

    - cosine: :math:`\cos(\pi\rho/2)`
    - arccos: :math:`\tfrac{2}{\pi}\arccos\rho`
    - linear: :math:`1 - \rho`
    - truncated_normal: the quantile at :math:`1 - \rho` of a normal with mean 1 and deviation 0.25 cut to
      :math:`[0.7, 1]`; for training only, it never reaches 0.

    Source:
        cosine: MaskGIT (arXiv:2202.04200), Section 3.3; arccos: TiTok (arXiv:2406.07550) and MaskBit
        (arXiv:2409.16211), published code; truncated normal: MAR (arXiv:2406.11838), Section 4.2.

    Args:
        progress: Values in ``[0, 1]``.
        schedule: The name.

    Shape:
        Any shape, kept.

    Range:
        ``[0, 1]``, falling in ``progress``, 1 at 0.

    Gradient:
        Not meant to be differentiated.

    Raises:
        ValueError: An unknown name.

    Example:
        >>> import torch
        >>> mask_ratio(torch.tensor([0.0, 0.5]), "linear").tolist()
        [1.0, 0.5]
    """
    if schedule == "cosine":
        return (progress * (math.pi / 2)).cos().clamp(0, 1)
    if schedule == "arccos":
        return progress.clamp(0, 1).arccos() * (2 / math.pi)
    if schedule == "linear":
        return 1 - progress
    if schedule == "truncated_normal":
        lowest = 0.5 * (1 + math.erf(-0.3 / 0.25 / math.sqrt(2)))
        quantile = lowest + (1 - progress) * (0.5 - lowest)
        ratio: Tensor = 1 + 0.25 * torch.special.ndtri(quantile)
        return ratio.clamp(0.7, 1)
    raise ValueError(f"schedule must be 'cosine', 'arccos', 'linear' or 'truncated_normal', got {schedule!r}")


def masked_counts(num_units: int, num_steps: int, schedule: MaskSchedule) -> list[int]:
    r"""How many units are still masked after each of ``num_steps`` steps.

    .. math:: n_i = \max(S - i, \min(n_{i-1} - 1, \lfloor N \gamma(i/S) \rfloor)), \qquad n_S = 0

    Every step fixes at least one unit and leaves one for each later step.

    Source:
        MaskGIT (arXiv:2202.04200), Section 3.2, published code, where 1 stands for ``S - i``.

    Args:
        num_units: Units of a sample, ``N``.
        num_steps: Steps ``S``, from 1 to ``N``.
        schedule: Any but ``"truncated_normal"``.

    Range:
        Strictly falling, ending in 0.

    Raises:
        ValueError: ``num_steps`` outside ``1..num_units``, or a schedule that never reaches 0.

    Example:
        >>> masked_counts(16, 4, "linear")
        [12, 8, 4, 0]
    """
    if not (isinstance(num_steps, Integral) and 1 <= num_steps <= num_units):
        raise ValueError(f"num_steps must lie in 1..{num_units} (the number of units), got {num_steps!r}")
    if schedule == "truncated_normal":
        raise ValueError("schedule 'truncated_normal' is for training; it never reaches 0")
    ratios = mask_ratio(torch.arange(1, num_steps, dtype=torch.float64, device="cpu") / num_steps, schedule).tolist()
    counts, left = [], num_units  # 1e-9: a product that is an integer may be rounded below it
    for step, ratio in enumerate(ratios, start=1):
        left = max(num_steps - step, min(left - 1, math.floor(num_units * ratio + 1e-9)))
        counts.append(left)
    return [*counts, 0]
