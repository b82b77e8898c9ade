"""The precision that networks compute in; parameters stay float32."""

import contextlib
import functools
import logging

import torch

from vistok.workbench.run.devices import computes_in_bfloat16

logger = logging.getLogger(__name__)


def mixed_precision(device: torch.device, kind: str) -> contextlib.AbstractContextManager[None]:
    """Autocast to bfloat16 where ``kind`` is ``"bf16"`` and the device computes in it; parameters stay float32.

    A processor without bfloat16 products emulates them, and takes 20 to 60 times as long as in float32: there it is
    float32, and a line says so once.
    """
    lower = kind == "bf16" and computes_in_bfloat16(device)
    if kind == "bf16" and not lower:
        _say_once()
    return torch.autocast(device.type, torch.bfloat16, enabled=lower)


@functools.cache
def _say_once() -> None:
    logger.info("mixed_precision: bf16 is computed in float32: this processor has no products in bfloat16")
