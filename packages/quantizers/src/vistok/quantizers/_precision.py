"""What keeps the numbers sound: float32 whatever autocast and TF32 say, and unit length of any vector."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

SMALLEST_LENGTH = 1e-8
SHRINK = 2.0**-80  # of what is too long for its squares; a power of two changes no digit

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


def unit(x: Tensor) -> Tensor:
    """Divide by the length along the last dimension; a vector shorter than 1e-8 becomes zero and gets no gradient.

    A vector so long that the sum of its squares overflows is shrunk first.
    """
    overflown = torch.linalg.vector_norm(x.detach(), dim=-1, keepdim=True).isinf()
    x = x * torch.where(overflown, SHRINK, 1.0).to(x.dtype)
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / torch.where(length < SMALLEST_LENGTH, torch.inf, length)
