"""Root-mean-square normalisation."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad


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
        if x.device.type == "cpu" and not torch.compiler.is_compiling() and not _is_transformed(x):
            y: Tensor = _OnCPU.apply(x, self.weight, self.eps)
            return y
        return _in_float32(x, self.weight, self.eps)


def _is_transformed(x: Tensor) -> bool:
    """Whether a forward derivative passes or ``torch.func`` transforms: the gradient by hand is of backward alone."""
    return torch._C._are_functorch_transforms_active() or forward_ad.unpack_dual(x).tangent is not None


def _in_float32(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    wide = None if weight is None else weight.float()
    return F.rms_norm(x.float(), x.shape[-1:], wide, eps).to(x.dtype)


class _OnCPU(torch.autograd.Function):
    """The formula with the gradient by hand: half the operations that autograd takes, and only the input is kept.

    Where the gradient is to be differentiated again, it is autograd's.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
        wide = x.float()
        inverse = (wide.square().mean(dim=-1, keepdim=True) + eps).rsqrt()
        ctx.save_for_backward(x, weight, inverse)
        ctx.eps = eps
        y = wide * inverse
        return (y if weight is None else y.mul_(weight.float())).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = ctx.saved_tensors
        if torch.is_grad_enabled():
            inputs = [part for part, needed in zip((x, weight), ctx.needs_input_grad[:2], strict=True) if needed]
            found = iter(torch.autograd.grad(_in_float32(x, weight, ctx.eps), inputs, gradient, create_graph=True))
            return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)
        y, outer, to_weight = x.float() * inverse, gradient.float(), None
        if weight is not None:
            to_weight = (outer * y).sum(dim=list(range(x.ndim - 1))).to(weight.dtype)
            outer = outer * weight.float()
        along = (outer * y).mean(dim=-1, keepdim=True)
        return torch.addcmul(outer, y, along, value=-1).mul_(inverse).to(x.dtype), to_weight, None
