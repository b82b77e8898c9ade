"""Tensors of values that say they are on one of Apple's GPUs: they refuse float64, and mix with no others."""

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

MPS = torch.device("mps")


class OnMps(Tensor):
    """A tensor that is on the pretended device; what is computed from it is there, too, until it is moved."""

    @property
    def device(self):
        return MPS

    def cpu(self):
        with torch._C.DisableTorchFunctionSubclass():
            return self.as_subclass(Tensor)

    def to(self, target):
        if isinstance(target, torch.dtype):
            return super().to(target)
        return self if torch.device(target) == MPS else self.cpu()

    def double(self):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        tensors = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)]
        if any(type(tensor) is Tensor and tensor.ndim for tensor in tensors):
            raise RuntimeError("Expected all tensors to be on the same device, but found at least two, mps:0 and cpu!")
        return super().__torch_function__(func, types, args, kwargs)


def on_mps(tensor):
    """The same values on the pretended device."""
    return tensor.as_subclass(OnMps)
