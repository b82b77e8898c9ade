"""Queries and keys on their way to attention: normalised, then turned by their positions."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vistok.generators.layers.rotary import rotate


def normalise_and_rotate(x: Tensor, gains: Tensor, table: Tensor | None, *, eps: float) -> Tensor:
    r"""The RMS norm of each head of queries and keys, then the turn by its token's position.

    .. math:: y = R_t\,(w \odot x / \sqrt{\mathrm{mean}(x^2) + \epsilon})

    On the CPU both are one operation with its gradient by hand: one conversion to float32 and one back, and only the
    input is kept. Where the gradient is to be differentiated again, it is autograd's.

    Args:
        x: ``(B, T, 2, heads, head_dim)``, queries and keys.
        gains: ``(2, head_dim)``, of the norms of queries and of keys.
        table: ``(T, head_dim / 2, 2)``, cosines and sines; ``None`` turns nothing.
        eps: Of the norm.
    """
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        y: Tensor = _OnCPU.apply(x, gains, table, eps)
        return y
    return _by_autograd(x, gains, table, eps)


def _by_autograd(x: Tensor, gains: Tensor, table: Tensor | None, eps: float) -> Tensor:
    y = F.rms_norm(x.float(), x.shape[-1:], None, eps) * gains.float()[:, None]
    if table is not None:
        y = rotate(y.transpose(1, 3), table).transpose(1, 3)
    return y.to(x.dtype)


class _OnCPU(torch.autograd.Function):
    """Queries, then keys: each is small enough for a cache, and their gains differ."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gains: Tensor, table: Tensor | None, eps: float) -> Tensor:
        out = torch.empty(x.shape, dtype=x.dtype)
        inverses = []
        for place, gain in enumerate(gains.float()):
            y = _wide(x[:, :, place])
            norm = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
            inverses.append((norm.square_() / x.shape[-1]).add_(eps).rsqrt_())
            out[:, :, place] = _turn_(y.mul_(inverses[-1]).mul_(gain), table, inverse=False)
        ctx.save_for_backward(x, gains, table, *inverses)
        ctx.eps = eps
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, gains, table, *inverses = ctx.saved_tensors
        if torch.is_grad_enabled():
            y = _by_autograd(x, gains, table, ctx.eps)
            again = torch.autograd.grad(y, (x, gains), gradient, create_graph=True)
            return again[0], again[1], None, None
        to_x, to_gains = torch.empty(x.shape, dtype=x.dtype), torch.empty_like(gains)
        for place, (gain, inverse) in enumerate(zip(gains.float(), inverses, strict=True)):
            given, outer = _wide(x[:, :, place]), _turn_(_wide(gradient[:, :, place]), table, inverse=True)
            products = (outer * given).flatten(0, -2)
            to_gains[place] = products.T @ inverse.flatten()
            along = (products @ gain).view_as(inverse).mul_(inverse.square()).div_(x.shape[-1])
            to_x[:, :, place] = outer.mul_(gain).addcmul_(given, along, value=-1).mul_(inverse)
        return to_x, to_gains, None, None


def _wide(x: Tensor) -> Tensor:
    """A copy in float32, contiguous."""
    return torch.empty(x.shape).copy_(x)


def _turn_(y: Tensor, table: Tensor | None, *, inverse: bool) -> Tensor:
    """Turn pairs of channels of ``(B, T, heads, head_dim)`` in place, as :func:`rotate`."""
    if table is not None:
        turns = torch.view_as_complex(table.float())[:, None]
        torch.view_as_complex(y.unflatten(-1, (-1, 2))).mul_(turns.conj() if inverse else turns)
    return y
