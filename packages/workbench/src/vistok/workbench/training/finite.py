"""Stop at the first loss that is not finite: name the term and the step, keep the batch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vistok.workbench.run.devices import Arriving
from vistok.workbench.run.tensor_files import save_tensors


class NonFiniteLossError(RuntimeError):
    """A loss term became NaN or infinite; the message names the term, the step and the file with the batch."""


@dataclass(frozen=True)
class _Told:
    """Terms that were told and not looked at yet."""

    step: int
    names: tuple[str, ...]
    values: Arriving
    batch: dict[str, Tensor]


class FiniteLosses:
    """All loss terms of a training, each looked at one step after it was told, so that no step waits for the device.

    What a bad step made of the weights must not be kept: whoever writes calls :meth:`settle` first.

    Args:
        folder: A batch with a term that is not finite goes to ``folder/nonfinite-step-N.safetensors``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told: list[_Told] = []

    def check(self, terms: Mapping[str, Tensor], step: int, batch: Mapping[str, Tensor]) -> None:
        """Take note of a step's terms and of the batch they came from; look at those of the step before.

        Raises:
            NonFiniteLossError: As :meth:`settle`, for the step before.
        """
        if self._told and self._told[0].step != step:
            self.settle()
        stacked = torch.stack([term.detach().float() for term in terms.values()])
        kept = {name: tensor.detach() for name, tensor in batch.items()}
        self._told.append(_Told(step, tuple(terms), Arriving(stacked), kept))

    def settle(self) -> None:
        """Look at all terms told so far.

        Raises:
            NonFiniteLossError: For the first (in the order told) that is not finite; its batch is kept.
        """
        told, self._told = self._told, []
        for one in told:
            for name, value in zip(one.names, one.values.read().tolist(), strict=True):
                if not math.isfinite(value):
                    path = self.folder / f"nonfinite-step-{one.step}.safetensors"
                    save_tensors(path, one.batch)
                    raise NonFiniteLossError(f"step {one.step}: loss term {name} is {value}; the batch is in {path}")
