"""Penalise the slope of a discriminator at real images."""

import torch
from torch import Tensor, nn

from vistok.losses._checks import check_features


def r1_penalty(real_logits: Tensor, real_images: Tensor) -> Tensor:
    """Functional form of :class:`R1Penalty`; same contract."""
    check_features("real_logits", real_logits, min_dims=1)
    check_features("real_images", real_images, min_dims=2)
    if real_logits.shape[0] != real_images.shape[0]:
        raise ValueError(
            f"real_logits and real_images must have the same batch size, "
            f"got {real_logits.shape[0]} and {real_images.shape[0]}"
        )
    if not real_images.requires_grad:
        raise ValueError(
            "real_images must require gradients before they go through the network, got requires_grad=False"
        )
    scores = real_logits.flatten(1).mean(dim=1) if real_logits.ndim > 1 else real_logits
    if not scores.requires_grad:
        raise ValueError("real_logits must be computed from real_images, got logits without a graph")
    (slope,) = torch.autograd.grad(scores.sum(), real_images, create_graph=True, materialize_grads=True)
    wide = slope if slope.dtype == torch.float64 else slope.float()
    return 0.5 * wide.square().flatten(1).sum(dim=1).mean()


class R1Penalty(nn.Module):
    r"""Half the squared gradient of the discriminator's score with respect to real images.

    .. math::
        L = \tfrac12\, \mathbb E_x\big[ \lVert \nabla_x D(x) \rVert^2 \big]

    ``D(x)`` is the mean of an image's logits, so the value does not grow with the number of patches. The images of a
    batch must not see each other in the discriminator (no batch statistics).

    Source:
        Mescheder et al. 2018, arXiv:1801.04406, Eq. 9; ``gamma`` is the weight in your training loop.

    Shape:
        - real_logits: ``(B, *)``, computed from ``real_images``.
        - real_images: ``(B, *)`` with ``requires_grad``.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, inf)``; ``0`` for a discriminator that does not see its input.

    Gradient:
        Flows to the discriminator's parameters through a second derivative.

    Raises:
        ValueError: ``real_images`` do not require gradients, ``real_logits`` have no graph, batch sizes differ, or the
            input is empty.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. Under DDP call the wrapped module for the logits as usual.

    Example:
        >>> import torch
        >>> images = torch.ones(2, 3, requires_grad=True)
        >>> R1Penalty()((2.0 * images).sum(dim=1), images).item()
        6.0
    """

    def forward(self, real_logits: Tensor, real_images: Tensor) -> Tensor:
        """Return the penalty for logits computed from ``real_images``."""
        return r1_penalty(real_logits, real_images)
