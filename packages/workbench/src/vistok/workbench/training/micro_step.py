"""One micro-batch of a step."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from accelerate import Accelerator


def sync_on_last(accelerator: Accelerator, model: torch.nn.Module, index: int, count: int) -> Any:
    """Context of one micro-batch: processes exchange gradients on the last of ``count`` only."""
    return contextlib.nullcontext() if index == count - 1 else accelerator.no_sync(model)
