"""Distance of two images in the features of any network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vistok.losses._checks import check_maps, check_non_negative, check_pair
from vistok.losses._frozen import FrozenNetwork
from vistok.losses._precision import autocast_off, widen


def _channel_unit(features: Tensor) -> Tensor:
    # eps sits outside the root in LPIPS; the inner where keeps the gradient of sqrt finite at zero features.
    squared = features.square().sum(dim=1, keepdim=True)
    positive = squared > 0
    norm = torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
    return features / (norm + 1e-10)


def stage_distance(a: Tensor, b: Tensor, head: Tensor | None = None, *, normalize: bool = True) -> Tensor:
    """Return the distance ``(B,)`` of two feature maps ``(B, C, *spatial)``: see :class:`LPIPS` for the formula.

    ``head`` weighs the channels; without one all channels count the same. ``normalize=False`` compares the features
    as they are, as a mean over channels in place of the sum.
    """
    if normalize:
        difference = (_channel_unit(a) - _channel_unit(b)).square()
        weighted = difference if head is None else difference * head.reshape(1, -1, *[1] * (a.ndim - 2))
        return weighted.sum(dim=1).flatten(1).mean(dim=1) if a.ndim > 2 else weighted.sum(dim=1)
    return (a - b).square().flatten(1).mean(dim=1)


def check_stages(features_a: Sequence[Tensor], features_b: Sequence[Tensor]) -> None:
    """Raise unless both are lists of the same number of feature maps with equal shapes."""
    check_maps("features_a", features_a)
    check_maps("features_b", features_b)
    if len(features_a) != len(features_b) or not features_a:
        raise ValueError(
            f"features_a and features_b must hold the same number of maps, at least 1, "
            f"got {len(features_a)} and {len(features_b)}"
        )
    for index, (a, b) in enumerate(zip(features_a, features_b, strict=True)):
        check_pair(f"features_a[{index}]", a, f"features_b[{index}]", b, min_dims=2)


def perceptual_loss(
    features_a: Sequence[Tensor],
    features_b: Sequence[Tensor],
    weights: Sequence[float] | None = None,
    *,
    normalize: bool = True,
) -> Tensor:
    """Functional form of :class:`PerceptualLoss`, on features that are already there; same contract."""
    check_stages(features_a, features_b)
    if weights is None:
        weights = [1.0 / len(features_a)] * len(features_a)
    if len(weights) != len(features_a):
        raise ValueError(f"weights must have one entry for each of the {len(features_a)} maps, got {len(weights)}")
    for index, weight in enumerate(weights):
        check_non_negative(f"weights[{index}]", weight)
    with autocast_off(features_a[0]):
        terms = [
            weight * stage_distance(widen(a), widen(b), normalize=normalize).mean()
            for weight, a, b in zip(weights, features_a, features_b, strict=True)
        ]
        return torch.stack(terms).sum()


class PerceptualLoss(nn.Module):
    r"""Weighted distance of two images over the stages of a frozen network.

    .. math::
        L = \sum_l w_l \, \frac1{B H_l W_l} \sum_{b, h, w}
            \big\lVert \bar\phi_l(x)_{bhw} - \bar\phi_l(\hat x)_{bhw} \big\rVert^2,
        \qquad \bar\phi = \phi / \lVert \phi \rVert

    The norm runs over channels. ``normalize=False`` takes the features as they are and the mean over channels.

    Source:
        Johnson et al. 2016, arXiv:1603.08155, Eq. 2 (``normalize=False``); Zhang et al. 2018, arXiv:1801.03924, Eq. 1
        with equal channel weights (``normalize=True``).

    Args:
        network: Maps images to a sequence of feature maps. Its parameters are frozen here and it stays in eval mode.
        weights: One weight a stage, finite and ``>= 0``; by default each stage counts ``1 / number of stages``.
        normalize: Scale each feature vector to length one first.

    Shape:
        - reconstruction: whatever ``network`` takes; feature maps are ``(B, C, *spatial)``.
        - target: the shape of ``reconstruction``.
        - loss: ``()``, float32 (float64 for float64 features).

    Range:
        ``[0, inf)``, with ``normalize`` and default weights ``[0, 4]``; ``0`` for equal images.

    Gradient:
        Flows to ``reconstruction`` only: ``target`` is seen without a graph, the network does not learn. Finite also
        where all channels are zero.

    Raises:
        ValueError: Stages differ in number or shape, a weight is negative, not finite or missing, or the input is
            empty.
        TypeError: A feature map is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> class TwoStages(torch.nn.Module):
        ...     def forward(self, images):
        ...         return [images, torch.nn.functional.avg_pool2d(images, 2)]
        >>> loss = PerceptualLoss(TwoStages(), normalize=False)
        >>> loss(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)).item()
        1.0
    """

    def __init__(self, network: nn.Module, *, weights: Sequence[float] | None = None, normalize: bool = True) -> None:
        super().__init__()
        for index, weight in enumerate(weights or ()):
            check_non_negative(f"weights[{index}]", weight)
        self.network = FrozenNetwork(network)
        self.weights = None if weights is None else tuple(weights)
        self.normalize = normalize

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Return the distance of ``reconstruction`` from ``target``."""
        check_pair("reconstruction", reconstruction, "target", target)
        with torch.no_grad():
            target_features = self.network(target)
        return perceptual_loss(self.network(reconstruction), target_features, self.weights, normalize=self.normalize)
