"""What rarely changes about masked autoregression."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from vistok.generators._checks import check_choice, check_share
from vistok.generators.layers.attention import AttentionBackend
from vistok.generators.sampling.mask_schedules import MaskSchedule


@dataclass(frozen=True)
class MaskedAROptions:
    """What rarely changes about a :class:`~vistok.generators.MaskedAR`.

    Args:
        schedule: Distribution of the masked fraction in training, drawn for each sample.
        independent_masks: Mask each unit by its own coin (MaskBit) and not an exact number of units (MaskGIT).
        label_smoothing: Of the cross-entropy.
        unmasked_weight: Weight of units that were not masked in the loss: 0 (MaskGIT), 0.1 (TiTok) or 1 (MaskBit).
        label_drop_prob: Probability of the null label in training.
        dropout: Dropout in training.
        post_norm: Normalise after the residual sum, as BERT and MaskBit do.
        positions: ``"learned"``, or ``"rotary"`` (two-dimensional on a grid).
        attention: The kernels: ``"sdpa"``, or ``"xformers"`` (CUDA only), see :func:`check_attention_backend`.

    Raises:
        ValueError: A probability outside ``[0, 1)``, a negative weight, or an unknown name.

    Example:
        >>> MaskedAROptions(positions="rotary").schedule
        'arccos'
    """

    schedule: MaskSchedule = "arccos"
    independent_masks: bool = False
    label_smoothing: float = 0.1
    unmasked_weight: float = 0.0
    label_drop_prob: float = 0.1
    dropout: float = 0.0
    post_norm: bool = False
    positions: Literal["learned", "rotary"] = "learned"
    attention: AttentionBackend = "sdpa"

    def __post_init__(self) -> None:
        for name in ("label_smoothing", "label_drop_prob", "dropout"):
            check_share(name, getattr(self, name))
        if not (math.isfinite(self.unmasked_weight) and self.unmasked_weight >= 0):
            raise ValueError(f"unmasked_weight must be finite and >= 0, got {self.unmasked_weight}")
        check_choice("schedule", self.schedule, get_args(MaskSchedule))
        check_choice("positions", self.positions, ("learned", "rotary"))
