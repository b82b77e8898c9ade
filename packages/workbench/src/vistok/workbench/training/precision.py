"""The precision that networks compute in; parameters stay float32."""

import contextlib

import torch


def mixed_precision(device: torch.device, kind: str) -> contextlib.AbstractContextManager[None]:
    """Autocast to bfloat16 where ``kind`` is ``"bf16"``; parameters stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=kind == "bf16")
