"""Keep a discriminator's logits near the running mean of the other side."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.losses._checks import check_choice, check_features
from vistok.losses._distributed import sum_across_ranks, world_size
from vistok.losses._precision import autocast_off, widen

LeCamForm = Literal["paper", "lecam_gan", "maskbit"]
_FORMS = ("paper", "lecam_gan", "maskbit")


def lecam_loss(
    real_logits: Tensor, fake_logits: Tensor, real_mean: Tensor, fake_mean: Tensor, *, form: LeCamForm = "paper"
) -> Tensor:
    """The term of :class:`LeCamLoss` for given running means (scalars); same contract."""
    check_choice("form", form, _FORMS)
    check_features("real_logits", real_logits)
    check_features("fake_logits", fake_logits)
    check_features("real_mean", real_mean)
    check_features("fake_mean", fake_mean)
    with autocast_off(real_logits):
        real, fake = widen(real_logits), widen(fake_logits)
        if form == "maskbit":
            real, fake = real.mean(), fake.mean()
        above, below = real - widen(fake_mean.detach()), widen(real_mean.detach()) - fake
        if form != "paper":
            above, below = F.relu(above), F.relu(below)
        return above.square().mean() + below.square().mean()


class LeCamLoss(nn.Module):
    r"""Squared distance of each side's logits from the running mean of the other side.

    .. math::
        L = \mathbb E[(r - \alpha_F)^2] + \mathbb E[(f - \alpha_R)^2], \qquad
        \alpha \leftarrow \lambda \alpha + (1 - \lambda)\, \mathbb E[\cdot]

    Add it to the discriminator's loss. Three forms are in use:

    - ``"paper"``: as above. In training each call first moves the means, then measures; the first call starts them at
      the means of its own logits.
    - ``"lecam_gan"``: as the paper's own code: only real logits above ``alpha_F`` and fake logits below ``alpha_R``
      count, :math:`\mathbb E[(r - \alpha_F)_+^2] + \mathbb E[(\alpha_R - f)_+^2]`. The means as in ``"paper"``.
    - ``"maskbit"``: as the code of MaskBit and TiTok: the logits of the batch are averaged first,
      :math:`(\mathbb E[r] - \alpha_F)_+^2 + (\alpha_R - \mathbb E[f])_+^2`; the means start at 0, and each call
      measures with those of the calls before it, then moves them.

    In eval mode the means stay, and where a logit is not finite: the loss of that call is not, those after it are.
    They are kept in float32 also where the module is cast to half precision.

    Source:
        Tseng et al. 2021, arXiv:2104.03310, Eqs. 6 and 7, and its public code; Weber et al. 2024 (MaskBit),
        arXiv:2409.16211, and Yu et al. 2024 (TiTok), arXiv:2406.07550, the public code of both.

    Args:
        decay: ``lambda``, from 0 to below 1.
        form: ``"paper"``, ``"lecam_gan"`` or ``"maskbit"``.

    Shape:
        - real_logits, fake_logits: any shape each.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, inf)``.

    Gradient:
        ``2 (r - alpha_F) / n`` and ``2 (f - alpha_R) / n`` a logit, ``0`` where a clipped form does not count it; with
        ``"maskbit"`` the same for all logits of a side. None through the means.

    Raises:
        ValueError: ``decay`` is outside ``[0, 1)``, ``form`` is unknown, or the input is empty.
        TypeError: The input is not a dense floating point tensor.

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

    def __init__(self, *, decay: float = 0.999, form: LeCamForm = "paper") -> None:
        super().__init__()
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        check_choice("form", form, _FORMS)
        self.decay = decay
        self.form: LeCamForm = form
        self.register_buffer("real_mean", torch.zeros(()))
        self.register_buffer("fake_mean", torch.zeros(()))
        # 0: the first call sets the means. MaskBit's average from zero instead.
        self.register_buffer("started", torch.full((), float(form == "maskbit")))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "LeCamLoss":
        """Keep the means in float32 or wider: in bfloat16 0.999 is 1, and they would never move."""
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, mean in before.items():
            moved = self._buffers[name]
            if mean is not None and moved is not None and moved.dtype.itemsize < 4:
                self._buffers[name] = mean.to(moved.device)
        return self

    @torch.no_grad()
    def _update(self, real_logits: Tensor, fake_logits: Tensor) -> None:
        means = torch.stack([real_logits.float().mean(), fake_logits.float().mean()])
        means = sum_across_ranks(means) / world_size()
        decay = self.decay * self.started
        finite = means.isfinite().all()
        for mean, new in ((self.real_mean, means[0]), (self.fake_mean, means[1])):
            mean.copy_(torch.where(finite, decay * mean + (1.0 - decay) * new, mean))
        self.started.copy_(torch.where(finite, 1.0, self.started))

    def forward(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the regulariser and move the running means (in training)."""
        check_features("real_logits", real_logits)
        check_features("fake_logits", fake_logits)
        if self.training and self.form != "maskbit":
            self._update(real_logits, fake_logits)
        # A copy: the means move on while this call's graph may still be waiting for backward.
        means = self.real_mean.clone(), self.fake_mean.clone()
        if self.training and self.form == "maskbit":
            self._update(real_logits, fake_logits)
        return lecam_loss(real_logits, fake_logits, *means, form=self.form)

    def extra_repr(self) -> str:
        """Show the options in ``print(module)``."""
        return f"decay={self.decay}, form={self.form!r}"
