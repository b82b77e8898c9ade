"""Group normalisation, with swish in one step, fast on CPUs in bfloat16 too.

PyTorch's CPU kernel for bfloat16 images in the channels-last format takes two to five times as long as that for
float32. So images are normalised in float32: small ones all at once, larger ones a few at a time, which stay in the
cache of a core. Of those only the bfloat16 input is kept for the backward pass, which computes the rest again.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

_BLOCK_ELEMENTS = 1 << 18  # float32 values of a block and of its few temporaries fit a core's cache
_FEWEST_ELEMENTS = 1 << 17  # of an image: smaller ones are faster all at once
_MOST_ELEMENTS = 1 << 21  # of an image: a larger block would be read from memory each time


def normalised(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """``norm(x)``, in the dtype of ``x``."""
    x = x.contiguous() if _is_transformed(x) else x
    if x.device.type == "cpu" and x.dtype == torch.bfloat16:
        return _in_float32(x, norm.weight, norm.bias, norm.num_groups, norm.eps).to(x.dtype)
    return norm(x)  # type: ignore[no-any-return]


def _in_float32(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
    return F.group_norm(x.float(), groups, weight.float(), bias.float(), eps)


def normalised_swish(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """``F.silu(norm(x))``, in the dtype of ``x``."""
    transformed = _is_transformed(x)
    x = x.contiguous() if transformed else x
    if x.device.type != "cpu" or x.dtype != torch.bfloat16 or torch.compiler.is_compiling():
        return F.silu(norm(x))
    channels_last = not transformed and x.is_contiguous(memory_format=torch.channels_last)
    if channels_last and _FEWEST_ELEMENTS <= x.shape[1:].numel() <= _MOST_ELEMENTS:
        y: Tensor = _NormalisedSwish.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps)
        return y
    return F.silu(_in_float32(x, norm.weight, norm.bias, norm.num_groups, norm.eps)).to(x.dtype)


def _is_transformed(x: Tensor) -> bool:
    """Whether a forward derivative passes or ``torch.func`` transforms.

    The gradient by hand is of backward alone, and torch's forward derivative takes no images with their channels last.
    """
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad.unpack_dual(x).tangent is not None


def _blocks(x: Tensor, *others: Tensor) -> Any:
    """A few images at a time, with what else belongs to them."""
    images = max(1, _BLOCK_ELEMENTS // x.shape[1:].numel())
    return zip(*(tensor.split(images) for tensor in (x, *others)), strict=True)


class _NormalisedSwish(torch.autograd.Function):
    """In blocks. Where the gradient is to be differentiated again, it is autograd's, of all images at once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        channels, pixels = x.shape[1], x.shape[2] * x.shape[3]
        out, means, deviations = torch.empty_like(x), [], []
        for block, written in _blocks(x, out):
            normalised, mean, inverse_deviation = torch.native_group_norm(
                block.float(), weight.float(), bias.float(), len(block), channels, pixels, groups, eps
            )
            written.copy_(F.silu(normalised, inplace=True))
            means.append(mean)
            deviations.append(inverse_deviation)
        ctx.save_for_backward(x, weight, bias, torch.cat(means), torch.cat(deviations))
        ctx.groups, ctx.eps = groups, eps
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, inverse_deviation = ctx.saved_tensors
        if torch.is_grad_enabled():
            parts, out = (x, weight, bias), F.silu(_in_float32(x, weight, bias, ctx.groups, ctx.eps)).to(x.dtype)
            inputs = [part for part, needed in zip(parts, ctx.needs_input_grad[:3], strict=True) if needed]
            found = iter(torch.autograd.grad(out, inputs, gradient, create_graph=True))
            return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)
        channels, pixels, groups = x.shape[1], x.shape[2] * x.shape[3], ctx.groups
        wide, per_image = weight.float(), (len(x), channels, 1, 1)
        scale = inverse_deviation[:, :, None] * wide.view(groups, -1)
        shift = (bias.float().view(groups, -1) - mean[:, :, None] * scale).view(per_image)
        to_x, to_weight, to_bias = torch.empty_like(x), torch.zeros_like(wide), torch.zeros_like(wide)
        gradient = gradient.contiguous(memory_format=torch.channels_last)  # the kernel takes it to lie as x does
        rest = (gradient, to_x, scale.view(per_image), shift, mean, inverse_deviation)
        for block, outer, written, a, b, mu, sigma in _blocks(x, *rest):
            values = block.float()
            inner = torch.ops.aten.silu_backward(outer.float(), torch.addcmul(b, values, a))
            inner_to_x, inner_to_weight, inner_to_bias = torch.ops.aten.native_group_norm_backward(
                inner, values, mu, sigma, wide, len(block), channels, pixels, groups, [True, True, True]
            )
            written.copy_(inner_to_x)
            to_weight += inner_to_weight
            to_bias += inner_to_bias
        return to_x, to_weight.to(weight.dtype), to_bias.to(bias.dtype), None, None
