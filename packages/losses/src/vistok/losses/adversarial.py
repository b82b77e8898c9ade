"""The adversarial game, each side on its own: hinge, non-saturating and vanilla."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from vistok.losses._checks import check_choice, check_features
from vistok.losses._precision import autocast_off, widen

AdversarialKind = Literal["hinge", "non_saturating", "vanilla"]
_KINDS = ("hinge", "non_saturating", "vanilla")


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, *, kind: AdversarialKind = "hinge") -> Tensor:
    """Functional form of :class:`DiscriminatorLoss`; same contract."""
    check_choice("kind", kind, _KINDS)
    check_features("real_logits", real_logits)
    check_features("fake_logits", fake_logits)
    with autocast_off(real_logits):
        real, fake = widen(real_logits), widen(fake_logits)
        if kind == "hinge":
            return 0.5 * (F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean())
        return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


def generator_loss(fake_logits: Tensor, *, kind: AdversarialKind = "hinge") -> Tensor:
    """Functional form of :class:`GeneratorLoss`; same contract."""
    check_choice("kind", kind, _KINDS)
    check_features("fake_logits", fake_logits)
    with autocast_off(fake_logits):
        fake = widen(fake_logits)
        if kind == "hinge":
            return -fake.mean()
        if kind == "non_saturating":
            return F.softplus(-fake).mean()
        return -F.softplus(fake).mean()


class DiscriminatorLoss(nn.Module):
    r"""Teach the discriminator to score real above fake.

    .. math::
        L_{hinge} = \tfrac12 \big( \mathbb E[(1 - r)_+] + \mathbb E[(1 + f)_+] \big), \qquad
        L_{ns} = L_{vanilla} = \tfrac12 \big( \mathbb E[\log(1 + e^{-r})] + \mathbb E[\log(1 + e^{f})] \big)

    ``r`` and ``f`` are the logits of real and fake images; each side is a mean over all its logits.

    Source:
        Hinge: Lim and Ye 2017, arXiv:1705.02894; with the factor one half as in VQGAN, arXiv:2012.09841.
        Non-saturating and vanilla: Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1 (binary cross entropy).

    Args:
        kind: ``"hinge"``, ``"non_saturating"`` or ``"vanilla"``; the last two differ only for the generator.

    Shape:
        - real_logits, fake_logits: any shape each, any floating dtype. Detach the fake *images*, not the logits.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, inf)``. Hinge: ``0`` exactly when all ``r >= 1`` and all ``f <= -1``; logits of zero give ``1``.
        Otherwise above ``0``, with ``log 2`` at logits of zero.

    Gradient:
        Hinge: ``-1 / (2 n)`` for each real logit below ``1``, ``+1 / (2 n)`` for each fake logit above ``-1``, else
        ``0``. Otherwise ``-sigmoid(-r) / (2 n)`` and ``sigmoid(f) / (2 n)``. Finite for every finite logit.

    Raises:
        ValueError: ``kind`` is unknown, or the input is empty.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> DiscriminatorLoss()(torch.tensor([0.5, 2.0]), torch.tensor([-1.0, 0.0])).item()
        0.375
    """

    def __init__(self, kind: AdversarialKind = "hinge") -> None:
        super().__init__()
        check_choice("kind", kind, _KINDS)
        self.kind: AdversarialKind = kind

    def forward(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the loss of the discriminator."""
        return discriminator_loss(real_logits, fake_logits, kind=self.kind)

    def extra_repr(self) -> str:
        """Show the kind in ``print(module)``."""
        return f"kind={self.kind!r}"


class GeneratorLoss(nn.Module):
    r"""Teach the generator to raise the discriminator's score of its images.

    .. math::
        L_{hinge} = -\mathbb E[f], \qquad
        L_{ns} = \mathbb E[\log(1 + e^{-f})], \qquad
        L_{vanilla} = \mathbb E[\log(1 - \sigma(f))] = -\mathbb E[\log(1 + e^{f})]

    Source:
        Hinge: Lim and Ye 2017, arXiv:1705.02894. Vanilla: Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1 (saturates
        where the discriminator is sure); non-saturating: Section 3 of the same paper.

    Args:
        kind: ``"hinge"``, ``"non_saturating"`` or ``"vanilla"``.

    Shape:
        - fake_logits: any shape, any floating dtype.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        Falls as any logit rises. Hinge: all numbers. Non-saturating: ``(0, inf)``. Vanilla: ``(-inf, 0)``.

    Gradient:
        Per logit ``-1 / n``, ``-sigmoid(-f) / n`` and ``-sigmoid(f) / n``.

    Raises:
        ValueError: ``kind`` is unknown, or the input is empty.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> GeneratorLoss()(torch.tensor([1.0, 2.0])).item()
        -1.5
    """

    def __init__(self, kind: AdversarialKind = "hinge") -> None:
        super().__init__()
        check_choice("kind", kind, _KINDS)
        self.kind: AdversarialKind = kind

    def forward(self, fake_logits: Tensor) -> Tensor:
        """Return the loss of the generator."""
        return generator_loss(fake_logits, kind=self.kind)

    def extra_repr(self) -> str:
        """Show the kind in ``print(module)``."""
        return f"kind={self.kind!r}"
