"""Turn features of a tokenizer towards those of a pretrained network, position by position or pooled."""

from torch import Tensor, nn

from vistok.losses._checks import check_channel_dim, check_features, check_pair
from vistok.losses._precision import autocast_off, not_below_zero, unit_directions, widen


def patch_alignment_loss(features: Tensor, target: Tensor, *, channel_dim: int = 1) -> Tensor:
    """Functional form of :class:`PatchAlignmentLoss`; same contract."""
    check_pair("features", features, "target", target, min_dims=2)
    check_channel_dim(features, channel_dim)
    with autocast_off(features):
        a = unit_directions(widen(features), dim=channel_dim)
        b = unit_directions(widen(target.detach()), dim=channel_dim)
        return not_below_zero(1.0 - (a * b).sum(dim=channel_dim).mean())


def pooled_alignment_loss(features: Tensor, target: Tensor, *, channel_dim: int = 1) -> Tensor:
    """Functional form of :class:`PooledAlignmentLoss`; same contract."""
    check_features("features", features, min_dims=2)
    check_features("target", target)
    check_channel_dim(features, channel_dim)
    expected = (features.shape[0], features.shape[channel_dim])
    if tuple(target.shape) != expected:
        raise ValueError(f"target must have shape {expected}, got {tuple(target.shape)}")
    with autocast_off(features):
        rows = widen(features).movedim(channel_dim, 1)
        return patch_alignment_loss(rows.flatten(2).mean(dim=2) if rows.ndim > 2 else rows, target)


class PatchAlignmentLoss(nn.Module):
    r"""One minus the cosine between two features, averaged over batch and positions.

    .. math::
        L = 1 - \frac1{BN} \sum_{b, n} \cos(z_{bn}, \mathrm{sg}[y_{bn}])

    Source:
        Yu et al. 2024 (REPA), arXiv:2410.06940, Eq. 8 with the cosine as similarity, plus one.

    Args:
        channel_dim: The dimension that holds a feature; never the batch dimension ``0``.

    Shape:
        - features: ``(B, C, *spatial)`` with ``channel_dim=1`` or ``(B, N, C)`` with ``channel_dim=-1``; project to
          the width of the target first.
        - target: the shape of ``features``.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, 2]``; ``0`` exactly when all features point along their targets. Does not change with any norm.

    Gradient:
        Orthogonal to each feature; ``0`` for a zero feature, whose cosine counts as 0. None for ``target``.

    Raises:
        ValueError: Shapes differ, the input is empty, or ``channel_dim`` is no dimension after the batch.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> PatchAlignmentLoss()(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])).item()
        1.0
    """

    def __init__(self, *, channel_dim: int = 1) -> None:
        super().__init__()
        self.channel_dim = channel_dim

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        """Return one minus the mean cosine of ``features`` and ``target``."""
        return patch_alignment_loss(features, target, channel_dim=self.channel_dim)


class PooledAlignmentLoss(nn.Module):
    r"""One minus the cosine between the mean feature of an image and a pooled target.

    .. math::
        L = 1 - \frac1B \sum_b \cos\Big( \frac1N \sum_n z_{bn}, \mathrm{sg}[y_b] \Big)

    Source:
        The cosine of :class:`PatchAlignmentLoss` on means over positions, for one-dimensional tokens that have no
        patch to be compared with.

    Args:
        channel_dim: The dimension that holds a feature; never the batch dimension ``0``.

    Shape:
        - features: ``(B, C, *spatial)`` with ``channel_dim=1`` or ``(B, N, C)`` with ``channel_dim=-1``.
        - target: ``(B, C)``.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, 2]``; ``0`` exactly when each mean points along its target. Positions may be permuted.

    Gradient:
        The same for all positions of an image, orthogonal to their mean; none for ``target``.

    Raises:
        ValueError: ``target`` is not ``(B, C)``, the input is empty, or ``channel_dim`` is no dimension after the
            batch.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> features = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> round(PooledAlignmentLoss(channel_dim=-1)(features, torch.tensor([[1.0, 1.0]])).item(), 4)
        0.0
    """

    def __init__(self, *, channel_dim: int = 1) -> None:
        super().__init__()
        self.channel_dim = channel_dim

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        """Return one minus the mean cosine of pooled ``features`` and ``target``."""
        return pooled_alignment_loss(features, target, channel_dim=self.channel_dim)
