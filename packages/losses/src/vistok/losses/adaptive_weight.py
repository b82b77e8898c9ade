"""Balance an adversarial loss against the reconstruction by the size of their gradients."""

from typing import Literal

import torch
from torch import Tensor

from vistok.losses._checks import check_choice, check_dense, check_positive

NonFinite = Literal["raise", "zero"]


def adaptive_weight(
    reconstruction_loss: Tensor,
    generator_loss: Tensor,
    last_layer: Tensor,
    *,
    max_weight: float = 1e4,
    eps: float = 1e-4,
    on_non_finite: NonFinite = "raise",
) -> Tensor:
    r"""Weight that gives the adversarial gradient the size of the reconstruction gradient at one layer.

    .. math::
        \lambda = \min\Big( \frac{\lVert \nabla_w L_{rec} \rVert}{\lVert \nabla_w L_{gen} \rVert + \epsilon},\
        \lambda_{max} \Big)

    Source:
        VQGAN, arXiv:2012.09841, Eq. 7, with the clamp of its public implementation.

    Args:
        reconstruction_loss: Reconstruction plus perceptual loss, scalar, on the graph of ``last_layer``.
        generator_loss: The generator's adversarial loss, scalar, on the graph of ``last_layer``.
        last_layer: Weight of the last layer of the decoder, any shape, ``requires_grad``.
        max_weight: Upper clamp, finite and ``> 0``.
        eps: Added to the denominator, finite and ``> 0``.
        on_non_finite: ``"raise"`` names the term whose gradient is not finite; ``"zero"`` gives the weight ``0``,
            without waiting for the device. Zero times a loss that is not finite is NaN, and so is its gradient: leave
            the term out or skip the step where a loss or a gradient is not finite.

    Shape:
        - weight: ``()``, float32, off the graph.

    Range:
        ``[0, max_weight]``; ``0`` when the reconstruction gradient is zero, or ``"zero"`` met one that is not finite.

    Gradient:
        None: the weight is a constant. The graph is kept, so both losses can still be differentiated.

    Raises:
        ValueError: A loss is not scalar or does not depend on ``last_layer``, ``last_layer`` is frozen, or
            ``max_weight`` or ``eps`` is not positive.
        TypeError: A loss or ``last_layer`` is not a dense tensor.
        FloatingPointError: A gradient is not finite and ``on_non_finite="raise"``.

    Distributed:
        No collectives: under DDP each rank weighs by its own gradients, as in the source.

    Example:
        >>> import torch
        >>> w = torch.ones(1, requires_grad=True)
        >>> round(adaptive_weight((3 * w).sum(), (2 * w).sum(), w).item(), 3)
        1.5
    """
    check_positive("max_weight", max_weight)
    check_positive("eps", eps)
    check_choice("on_non_finite", on_non_finite, ("raise", "zero"))
    check_dense("last_layer", last_layer)
    losses = {"reconstruction_loss": reconstruction_loss, "generator_loss": generator_loss}
    for name, loss in losses.items():
        check_dense(name, loss)
        if loss.ndim != 0:
            raise ValueError(f"{name} must be a scalar, got shape {tuple(loss.shape)}")
    if not last_layer.requires_grad:
        raise ValueError("last_layer must require gradients, got a frozen tensor")
    sizes = []
    for name, loss in losses.items():
        if not loss.requires_grad:
            raise ValueError(f"{name} must depend on last_layer, got a loss without a graph")
        (gradient,) = torch.autograd.grad(loss, last_layer, retain_graph=True, allow_unused=True)
        if gradient is None:
            raise ValueError(f"{name} must depend on last_layer, got a loss of other parameters")
        size = torch.linalg.vector_norm(gradient.detach().float())
        if on_non_finite == "raise" and not size.is_meta and not torch.isfinite(size):
            raise FloatingPointError(f"the gradient of {name} at last_layer must be finite, got norm {size.item()}")
        sizes.append(size)
    weight = (sizes[0] / (sizes[1] + eps)).clamp(0.0, max_weight)
    both_finite = torch.isfinite(sizes[0]) & torch.isfinite(sizes[1])
    return torch.where(both_finite, weight, torch.zeros_like(weight))
