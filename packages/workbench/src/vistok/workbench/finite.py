"""Stop at the first loss that is not finite: name the term and the step, keep the batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor


class NonFiniteLossError(RuntimeError):
    """A loss term became NaN or infinite; the message names the term, the step and the file with the batch."""


def check_finite(terms: Mapping[str, Tensor], step: int, batch: Mapping[str, Tensor], folder: Path) -> None:
    """Raise :class:`NonFiniteLossError` for the first term (in the mapping's order) that is not finite.

    The healthy path costs one reduction over the terms. The batch goes to ``folder/nonfinite-step-N.safetensors``.
    """
    stacked = torch.stack([term.detach().float() for term in terms.values()])
    if bool(stacked.isfinite().all()):
        return
    name, value = next((n, t.item()) for n, t in terms.items() if not t.isfinite())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"nonfinite-step-{step}.safetensors"
    save_file({key: tensor.detach().cpu().contiguous() for key, tensor in batch.items()}, path)
    raise NonFiniteLossError(f"step {step}: loss term {name} is {value}; the batch is in {path}")
