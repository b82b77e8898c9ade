"""Distance of two colour images in their colour alone, whatever their brightness."""

import torch
from torch import Tensor, nn

from vistok.losses._checks import check_pair
from vistok.losses._precision import autocast_off, widen

# Cb and Cr of JFIF (full-range BT.601): each row sums to zero, so that grey has none.
_BLUE_AND_RED_DIFFERENCE = ((-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def chroma_loss(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Functional form of :class:`ChromaLoss`; same contract."""
    check_pair("reconstruction", reconstruction, "target", target, min_dims=2)
    if reconstruction.shape[1] != 3:
        raise ValueError(f"reconstruction must have shape (B, 3, *spatial), got {tuple(reconstruction.shape)}")
    with autocast_off(reconstruction):
        difference = widen(reconstruction) - widen(target)
        rows = torch.tensor(_BLUE_AND_RED_DIFFERENCE, dtype=difference.dtype, device=difference.device)
        return torch.einsum("kc,bc...->bk...", rows, difference).square().mean()


class ChromaLoss(nn.Module):
    r"""Mean squared distance of the two colour-difference channels.

    .. math::
        L = \tfrac1{2n} \sum \lVert A (\hat x - x) \rVert^2, \qquad
        A = \begin{pmatrix} -0.168736 & -0.331264 & 0.5 \\ 0.5 & -0.418688 & -0.081312 \end{pmatrix}

    over the ``n`` pixels. ``A`` maps red, green and blue to Cb and Cr, which are zero for greys. Beside a distance of
    pixels it raises the price of a wrong colour against that of a wrong brightness.

    Source:
        Hamilton 1992, JPEG File Interchange Format 1.02, "Conversion to and from RGB" (``A``: ITU-R BT.601, full
        range). As a loss beside the pixels': ours.

    Shape:
        - reconstruction: ``(B, 3, *spatial)``, red, green and blue in any range, any floating dtype.
        - target: the shape of ``reconstruction``.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, inf)``; ``0`` where each pixel differs by the same amount in all three channels (up to rounding).

    Gradient:
        ``A^T A (x_hat - x) / n`` at each pixel for ``reconstruction``, the negative for ``target``. Finite everywhere.

    Raises:
        ValueError: Shapes differ, are not ``(B, 3, *spatial)``, or the input is empty.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> grey, darker = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), -0.5)
        >>> ChromaLoss()(grey, darker).item()
        0.0
        >>> blue = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
        >>> round(ChromaLoss()(grey, blue).item(), 4)
        0.1283
    """

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Return the distance of the colours of ``reconstruction`` from those of ``target``."""
        return chroma_loss(reconstruction, target)
