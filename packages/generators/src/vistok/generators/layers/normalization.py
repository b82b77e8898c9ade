"""Root-mean-square normalisation."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class RMSNorm(nn.Module):
    r"""Divide a vector by its root mean square.

    .. math:: y = w \odot x / \sqrt{\mathrm{mean}(x^2) + \epsilon}

    Source:
        Zhang and Sennrich 2019, arXiv:1910.07467, Eq. 4.

    Args:
        dim: Size of the last axis.
        eps: Added to the mean square, ``> 0``.
        affine: Learn the gain ``w`` (starts at 1); without it there are no parameters.

    Shape:
        ``(..., dim)`` to the same shape and dtype; the norm itself is computed in float32.

    Range:
        Without a gain the mean square of the output is at most 1.

    Gradient:
        Orthogonal to the input (up to ``eps``) when there is no gain.

    Raises:
        ValueError: ``dim < 1`` or ``eps <= 0``.

    Example:
        >>> import torch
        >>> round(RMSNorm(2, affine=False)(torch.tensor([3.0, 4.0])).square().mean().item(), 4)
        1.0
    """

    def __init__(self, dim: int, *, eps: float = 1e-6, affine: bool = True) -> None:
        super().__init__()
        if dim < 1 or eps <= 0:
            raise ValueError(f"RMSNorm needs dim >= 1 and eps > 0, got dim {dim} and eps {eps}")
        self.dim = dim
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            y: Tensor = _OnCPU.apply(x, self.weight, self.eps)
            return y
        weight = None if self.weight is None else self.weight.float()
        return F.rms_norm(x.float(), (self.dim,), weight, self.eps).to(x.dtype)


class _OnCPU(torch.autograd.Function):
    """The formula with the gradient by hand: half the operations that autograd takes, and only the input is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
        wide = x.float()
        inverse = (wide.square().mean(dim=-1, keepdim=True) + eps).rsqrt()
        ctx.save_for_backward(x, weight, inverse)
        y = wide * inverse
        return (y if weight is None else y.mul_(weight.float())).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight, inverse = ctx.saved_tensors
        y, outer, to_weight = x.float() * inverse, gradient.float(), None
        if weight is not None:
            to_weight = (outer * y).sum(dim=list(range(x.ndim - 1))).to(weight.dtype)
            outer = outer * weight.float()
        along = (outer * y).mean(dim=-1, keepdim=True)
        return torch.addcmul(outer, y, along, value=-1).mul_(inverse).to(x.dtype), to_weight, None
