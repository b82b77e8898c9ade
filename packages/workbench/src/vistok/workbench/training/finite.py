"""Stop at the first loss that is not finite: name the term and the step, keep the batch."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vistok.workbench.run.tensor_files import save_tensors


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
    path = folder / f"nonfinite-step-{step}.safetensors"
    save_tensors(path, batch)
    raise NonFiniteLossError(f"step {step}: loss term {name} is {value}; the batch is in {path}")
