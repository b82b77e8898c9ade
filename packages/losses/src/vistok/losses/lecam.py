"""Keep a discriminator's logits near the running mean of the other side."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.losses._checks import check_features
from vistok.losses._distributed import sum_across_ranks, world_size
from vistok.losses._precision import autocast_off, widen


def lecam_loss(
    real_logits: Tensor, fake_logits: Tensor, real_mean: Tensor, fake_mean: Tensor, *, one_sided: bool = False
) -> Tensor:
    """The term of :class:`LeCamLoss` for given running means (scalars); same contract."""
    check_features("real_logits", real_logits)
    check_features("fake_logits", fake_logits)
    with autocast_off(real_logits):
        above = widen(real_logits) - widen(fake_mean.detach())
        below = widen(real_mean.detach()) - widen(fake_logits)
        if one_sided:
            above, below = F.relu(above), F.relu(below)
        return above.square().mean() + below.square().mean()


class LeCamLoss(nn.Module):
    r"""Squared distance of each side's logits from the running mean of the other side.

    .. math::
        L = \mathbb E[(r - \alpha_F)^2] + \mathbb E[(f - \alpha_R)^2], \qquad
        \alpha \leftarrow \lambda \alpha + (1 - \lambda)\, \mathbb E[\cdot]

    Add it to the discriminator's loss. In training each call first moves the means, then measures; the first call
    starts them at the means of its own logits. In eval mode the means stay.

    Source:
        Tseng et al. 2021, arXiv:2104.03310, Eqs. 6 and 7. ``one_sided`` is the form of its public code: only real
        logits above ``alpha_F`` and fake logits below ``alpha_R`` count.

    Args:
        decay: ``lambda``, from 0 to below 1.
        one_sided: Clip both differences at zero.

    Shape:
        - real_logits, fake_logits: any shape each.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, inf)``.

    Gradient:
        ``2 (r - alpha_F) / n`` and ``2 (f - alpha_R) / n``; none through the means.

    Raises:
        ValueError: ``decay`` is outside ``[0, 1)``, or the input is empty.
        TypeError: The input is not floating point.

    Distributed:
        Within a process group the means are averaged over ranks (one all-reduce of two numbers a training call), so
        they stay equal on all ranks.

    Example:
        >>> import torch
        >>> LeCamLoss()(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.0])).item()
        2.0
    """

    real_mean: Tensor
    fake_mean: Tensor
    started: Tensor

    def __init__(self, *, decay: float = 0.999, one_sided: bool = False) -> None:
        super().__init__()
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.decay, self.one_sided = decay, one_sided
        self.register_buffer("real_mean", torch.zeros(()))
        self.register_buffer("fake_mean", torch.zeros(()))
        self.register_buffer("started", torch.zeros(()))

    @torch.no_grad()
    def _update(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        means = torch.stack([real_logits.float().mean(), fake_logits.float().mean()])
        means = sum_across_ranks(means) / world_size()
        decay = self.decay * self.started
        self.real_mean.copy_(decay * self.real_mean + (1.0 - decay) * means[0])
        self.fake_mean.copy_(decay * self.fake_mean + (1.0 - decay) * means[1])
        self.started.fill_(1.0)

    def forward(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Move the running means (in training) and return the regulariser."""
        check_features("real_logits", real_logits)
        check_features("fake_logits", fake_logits)
        if self.training:
            self._update(real_logits, fake_logits)
        # A copy: the next call moves the means while this call's graph may still be waiting for backward.
        means = self.real_mean.clone(), self.fake_mean.clone()
        return lecam_loss(real_logits, fake_logits, *means, one_sided=self.one_sided)
