"""Times of training: how their shift changes while it goes on, and pairs of them for average velocities."""

from typing import NamedTuple

import torch
from torch import Tensor

from semtok.config import LossConfig
from semtok.draws import shifted
from vistok.generators import logit_normal_times


def annealed(losses: LossConfig, step: int, steps: int) -> LossConfig:
    """Stage I's settings at a step: the shift of its times on the way from ``time_shift`` to ``time_shift_final``.

    A shift multiplies the odds ``t / (1 - t)``, so it goes from one to the other in equal factors a step. It depends on
    the number of the step alone: a resumed training goes on as it would have.
    """
    if losses.time_shift_final is None:
        return losses
    done = step / max(steps - 1, 1)
    shift = losses.time_shift ** (1 - done) * losses.time_shift_final**done
    return losses.model_copy(update={"time_shift": shift})


class Interval(NamedTuple):
    """Times ``r <= t``, each ``(B,)``, between which a velocity is averaged."""

    r: Tensor
    t: Tensor

    def to(self, device: torch.device) -> "Interval":
        """The same on a device."""
        return Interval(self.r.to(device), self.t.to(device))


def draw_intervals(places: Tensor, step: int, seed: int, losses: LossConfig, share: float) -> Interval:
    """Two times of each image at these places of a step's global batch, each from a generator of its own.

    Both are drawn as stage I's at its last step, the larger is ``t``; but for a ``share`` of the images ``r`` is ``t``,
    where the average velocity is the velocity (MeanFlow, arXiv:2505.13447, Section 4.3).
    """
    rows = []
    for place in places.tolist():
        # 2**31, since torch reads the lowest 32 bits alone: no generator of semtok.draws begins there, with seed 0 too.
        own = torch.Generator().manual_seed(((seed * 1_000_033 + step) * 65_537 + place + 2**31) % 2**63)
        pair = logit_normal_times((2,), uniform_prob=losses.uniform_times, generator=own).sort().values
        rows.append(pair if torch.rand(1, generator=own).item() < share else pair[[1, 1]])
    shift = losses.time_shift if losses.time_shift_final is None else losses.time_shift_final
    return Interval(*shifted(torch.stack(rows), shift).unbind(dim=1))
