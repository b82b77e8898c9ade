"""Keep two codebooks from saying the same thing."""

from torch import Tensor, nn

from vistok.losses._checks import check_channel_dim, check_pair
from vistok.losses._precision import autocast_off, unit_directions, widen


def disentanglement_loss(codes_a: Tensor, codes_b: Tensor, *, channel_dim: int = 1) -> Tensor:
    """Functional form of :class:`DisentanglementLoss`; same contract."""
    check_pair("codes_a", codes_a, "codes_b", codes_b, min_dims=2)
    check_channel_dim(codes_a, channel_dim)
    with autocast_off(codes_a):
        a = unit_directions(widen(codes_a), dim=channel_dim)
        b = unit_directions(widen(codes_b), dim=channel_dim)
        return (a * b).sum(dim=channel_dim).square().mean()


class DisentanglementLoss(nn.Module):
    r"""Squared cosine between the two codes of each position.

    .. math::
        L = \frac1{BN} \sum_{b, n} \cos(a_{bn}, b_{bn})^2

    Source:
        FQGAN, arXiv:2411.16681, the disentanglement regularisation of factorized codebooks.

    Args:
        channel_dim: The dimension that holds a code; never the batch dimension ``0``.

    Shape:
        - codes_a: ``(B, C, *spatial)`` with ``channel_dim=1`` or ``(B, N, C)`` with ``channel_dim=-1``.
        - codes_b: the shape of ``codes_a``.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, 1]`` up to rounding; ``0`` when all pairs are orthogonal, ``1`` when all are parallel or opposed. Does not
        change when a code is multiplied by any number but zero.

    Gradient:
        Orthogonal to each code. A zero code counts as orthogonal to everything and gets no gradient.

    Raises:
        ValueError: Shapes differ, the input is empty, or ``channel_dim`` is no dimension after the batch.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> visual, semantic = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
        >>> round(DisentanglementLoss()(visual, semantic).item(), 4)
        0.5
    """

    def __init__(self, *, channel_dim: int = 1) -> None:
        super().__init__()
        self.channel_dim = channel_dim

    def forward(self, codes_a: Tensor, codes_b: Tensor) -> Tensor:
        """Return the mean squared cosine of the two codes at each position."""
        return disentanglement_loss(codes_a, codes_b, channel_dim=self.channel_dim)

    def extra_repr(self) -> str:
        """Show the layout in ``print(module)``."""
        return f"channel_dim={self.channel_dim}"
