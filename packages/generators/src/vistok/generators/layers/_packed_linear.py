"""Linear layers in the layout of the CPU's kernels: for sampling, where few rows meet the same weights many times."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

_INSIDE = "_orig_mod"  # what torch.compile calls the module that it wraps
_FEWEST_WEIGHTS = 2**16  # of a layer; below them a call costs more than the layout gains


def packed(module: Any, dtype: torch.dtype) -> Any:
    """A twin of a module that shares its parameters but for those of large linear layers on the CPU.

    These are copied once into oneDNN's blocked layout, in ``dtype``. A product with a few rows then reads them about as
    fast as memory gives them; from the plain layout it takes two to four times as long. The twin has no gradient and
    does not follow later changes of the weights. A layer with hooks or parametrizations stays what it is, and so does a
    compiled module: what is set on its wrapper goes to the module inside.
    """
    if is_parametrized(module) or _INSIDE in module._modules:
        return module
    if type(module) is nn.Linear:
        return _PackedLinear(module, dtype) if _gains(module, dtype) else module
    twin = copy.copy(module)
    twin._modules = {name: None if child is None else packed(child, dtype) for name, child in module._modules.items()}
    return twin


def _gains(linear: nn.Linear, dtype: torch.dtype) -> bool:
    if linear._forward_hooks or linear._forward_pre_hooks:
        return False
    if linear.weight.device.type != "cpu" or linear.weight.numel() < _FEWEST_WEIGHTS:
        return False
    if not torch.backends.mkldnn.is_available():
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class _PackedLinear(nn.Module):
    """A linear layer without gradient whose weights are packed."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(dtype))
        self.bias = None if linear.bias is None else linear.bias.detach().to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(self.dtype), self.weight, self.bias, "none", [], "")
        return out
