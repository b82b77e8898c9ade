"""What keeps the numbers sound: float32 or wider whatever autocast and TF32 say, and directions of any vector."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

# Below this largest component a vector counts as zero: its direction is noise and 1 / norm would blow the gradient up.
SMALLEST_COMPONENT = 1e-30

_MATMUL = torch.backends.cuda.matmul
# torch 2.9 has a new setting, and refuses to read the old one where the two differ.
_NEW = hasattr(_MATMUL, "fp32_precision")
_TF32, _ON, _OFF = ("fp32_precision", "tf32", "ieee") if _NEW else ("allow_tf32", True, False)


def autocast_off(tensor: Tensor) -> AbstractContextManager[object]:
    """Return a context in which products are float32 on the device of ``tensor``: autocast is off, and on CUDA TF32.

    A compiled graph cannot set TF32 and keeps the setting outside; the meta device has neither.
    """
    if tensor.is_meta:
        return nullcontext()
    off = torch.autocast(device_type=tensor.device.type, enabled=False)
    if tensor.is_cuda and not torch.compiler.is_compiling() and getattr(_MATMUL, _TF32) == _ON:
        return _tf32_off(off)
    return off


@contextmanager
def _tf32_off(autocast: AbstractContextManager[object]) -> Iterator[None]:
    setattr(_MATMUL, _TF32, _OFF)
    try:
        with autocast:
            yield
    finally:
        setattr(_MATMUL, _TF32, _ON)


def not_below_zero(loss: Tensor) -> Tensor:
    """Return ``loss``, with ``0`` for what rounding put below; the gradient stays what it is."""
    return torch.where(loss < 0, loss - loss.detach(), loss)


def widen(tensor: Tensor) -> Tensor:
    """Return ``tensor`` in float32, or unchanged when it is float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def unit_directions(vectors: Tensor, *, dim: int) -> Tensor:
    """Return ``vectors`` divided by their norm along ``dim``; a zero vector stays zero and gets no gradient.

    Divides by the largest component first, so squares neither overflow nor vanish. A vector with a non-finite
    component becomes NaN.
    """
    largest = vectors.detach().abs().amax(dim=dim, keepdim=True)
    is_zero = largest < SMALLEST_COMPONENT
    scaled = vectors * torch.where(is_zero, 0.0, largest.reciprocal())  # divisions are slower than products
    squared = scaled.square().sum(dim=dim, keepdim=True)
    return scaled * torch.where(is_zero, 1.0, squared).rsqrt()
