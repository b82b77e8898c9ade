"""The precision that networks compute in; parameters stay float32."""

import contextlib
from collections.abc import Iterator

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextlib.contextmanager
def mixed_precision(device: torch.device, kind: str) -> Iterator[None]:
    """Autocast to bfloat16 where ``kind`` is ``"bf16"``; parameters stay float32.

    On CPUs attention then takes its plain form: the fused kernel's backward pass is the slower one there for the short
    sequences that fit a CPU.
    """
    plain = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else contextlib.nullcontext()
    with plain, torch.autocast(device.type, torch.bfloat16, enabled=kind == "bf16"):
        yield
