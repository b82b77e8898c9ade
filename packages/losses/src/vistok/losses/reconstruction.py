"""Pixel distance of a reconstruction from its image."""

from typing import Literal

from torch import Tensor, nn

from vistok.losses._checks import check_at_least, check_choice, check_pair
from vistok.losses._precision import autocast_off, widen

ReconstructionKind = Literal["l2", "l1", "charbonnier"]
_KINDS = ("l2", "l1", "charbonnier")
_SMALLEST_EPS = 1e-18  # whose square is no zero in float32


def reconstruction_loss(
    reconstruction: Tensor, target: Tensor, *, kind: ReconstructionKind = "l2", eps: float = 1e-3
) -> Tensor:
    """Functional form of :class:`ReconstructionLoss`; same contract."""
    check_choice("kind", kind, _KINDS)
    check_at_least("eps", eps, _SMALLEST_EPS)
    check_pair("reconstruction", reconstruction, "target", target)
    with autocast_off(reconstruction):
        difference = widen(reconstruction) - widen(target)
        if kind == "l2":
            return difference.square().mean()
        if kind == "l1":
            return difference.abs().mean()
        return (difference.square() + eps * eps).sqrt().mean()


class ReconstructionLoss(nn.Module):
    r"""Mean distance per element: squared, absolute, or Charbonnier (absolute with a round tip).

    .. math::
        L_2 = \tfrac1n \sum (x - \hat x)^2, \quad
        L_1 = \tfrac1n \sum |x - \hat x|, \quad
        L_C = \tfrac1n \sum \sqrt{(x - \hat x)^2 + \epsilon^2}

    A mean over all elements, never a sum over pixels, so weights carry over between resolutions.

    Source:
        L2: GloTok, arXiv:2511.14184, Eq. 2. L1: Isola et al. 2017, arXiv:1611.07004, Eq. 3. Charbonnier: Lai et al.
        2017, arXiv:1704.03915, Eq. 2 (penalty function).

    Args:
        kind: ``"l2"``, ``"l1"`` or ``"charbonnier"``.
        eps: Width of the round tip, finite and ``>= 1e-18``, whose square float32 holds; only for ``"charbonnier"``.

    Shape:
        - reconstruction: any shape, any floating dtype.
        - target: the shape of ``reconstruction``.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, inf)``, for ``"charbonnier"`` ``[eps, inf)``; the lower end exactly when both inputs are equal.

    Gradient:
        Per element ``2 (x_hat - x) / n``, ``sign(x_hat - x) / n`` or ``(x_hat - x) / (n sqrt((x_hat - x)^2 + eps^2))``
        for ``reconstruction``, the negative for ``target``. Finite everywhere.

    Raises:
        ValueError: ``kind`` is unknown, ``eps`` is below 1e-18, shapes differ, or the input is empty.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> ReconstructionLoss("l1")(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)).item()
        0.5
    """

    def __init__(self, kind: ReconstructionKind = "l2", *, eps: float = 1e-3) -> None:
        super().__init__()
        check_choice("kind", kind, _KINDS)
        check_at_least("eps", eps, _SMALLEST_EPS)
        self.kind: ReconstructionKind = kind
        self.eps = eps

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Return the mean distance of ``reconstruction`` from ``target``."""
        return reconstruction_loss(reconstruction, target, kind=self.kind, eps=self.eps)

    def extra_repr(self) -> str:
        """Show the options in ``print(module)``."""
        return f"kind={self.kind!r}, eps={self.eps}"
