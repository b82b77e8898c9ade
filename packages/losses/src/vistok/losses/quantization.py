"""The two terms that train a codebook and the encoder in front of it."""

import torch.nn.functional as F
from torch import Tensor, nn

from vistok.losses._checks import check_non_negative, check_pair
from vistok.losses._precision import autocast_off, widen


def codebook_commitment_loss(z_e: Tensor, z_q: Tensor, *, beta: float = 0.25) -> Tensor:
    """Functional form of :class:`CodebookCommitmentLoss`; same contract."""
    check_non_negative("beta", beta)
    check_pair("z_e", z_e, "z_q", z_q)
    with autocast_off(z_e):
        z_e, z_q = widen(z_e), widen(z_q)
        codebook = F.mse_loss(z_q, z_e.detach())
        commitment = F.mse_loss(z_e, z_q.detach())
        return codebook + beta * commitment


class CodebookCommitmentLoss(nn.Module):
    r"""Pull codes to the encoder and the encoder to its codes.

    .. math::
        L(z_e, z_q) = \lVert \mathrm{sg}[z_e] - z_q \rVert^2 + \beta \, \lVert z_e - \mathrm{sg}[z_q] \rVert^2

    Both norms are means over all elements, so the value does not grow with batch, resolution or channel count.
    ``sg`` stops the gradient.

    Source:
        van den Oord et al. 2017, arXiv:1711.00937, Eq. 3 (terms two and three); GloTok, arXiv:2511.14184, Eq. 1.
        ``beta`` weighs the *commitment* term, as printed. Ports that compute ``beta * codebook + commitment``
        minimise ``beta`` times this loss with ``1 / beta``: use that to continue their runs.

    Args:
        beta: Weight of the commitment term, finite and ``>= 0``. ``0`` trains the codes only.

    Shape:
        - z_e: any shape, the encoder output before quantization, any floating dtype.
        - z_q: the shape of ``z_e``; the *raw* codes, before the straight-through estimator.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, inf)``; ``0`` exactly when ``z_e == z_q`` everywhere.

    Gradient:
        ``d loss / d z_q = 2 (z_q - z_e) / n`` and ``d loss / d z_e = 2 beta (z_e - z_q) / n`` with
        ``n = z_e.numel()``.

    Raises:
        ValueError: ``beta`` is negative or not finite; shapes differ, or the input is empty.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> z_e, z_q = torch.zeros(2, 4, requires_grad=True), torch.ones(2, 4, requires_grad=True)
        >>> CodebookCommitmentLoss(beta=0.25)(z_e, z_q).item()
        1.25
    """

    def __init__(self, beta: float = 0.25) -> None:
        super().__init__()
        check_non_negative("beta", beta)
        self.beta = beta

    def forward(self, z_e: Tensor, z_q: Tensor) -> Tensor:
        """Return the loss of encoder output ``z_e`` and raw codes ``z_q``."""
        return codebook_commitment_loss(z_e, z_q, beta=self.beta)

    def extra_repr(self) -> str:
        """Show the weight in ``print(module)``."""
        return f"beta={self.beta}"
