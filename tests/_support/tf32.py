"""Which products of matrices a card rounds to TF32 in a program that allows it, as the recipes' commands do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vistok.workbench.cost.pretended_cuda import PretendedCuda

PRODUCTS = {getattr(torch.ops.aten, name) for name in ("mm", "addmm", "addmm_", "bmm", "baddbmm", "mv", "addmv")}


def tf32_is_on():
    """What torch says, by the setting that its version has."""
    matmul = torch.backends.cuda.matmul
    return matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32


class Products(TorchDispatchMode):
    """Counts the products within, and those that a card rounds to TF32."""

    def __init__(self):
        super().__init__()
        self.count = self.rounded = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator.overloadpacket in PRODUCTS:
            self.count += 1
            self.rounded += tf32_is_on()
        return operator(*args, **(kwargs or {}))


@contextmanager
def tf32_on() -> Iterator[None]:
    """Let products round to TF32, as ``set_float32_matmul_precision`` does."""
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")


@contextmanager
def products_on_a_card() -> Iterator[Products]:
    """Watch the products of tensors that say they are on CUDA, with TF32 on outside; it must be on again behind."""
    with tf32_on():
        with PretendedCuda(torch.device("cpu")), Products() as products:
            yield products
        assert tf32_is_on()
