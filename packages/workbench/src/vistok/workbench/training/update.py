"""One update of a network: the gradients of its micro-batches, then a step of its optimizer."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor

from vistok.workbench.config import Config
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.precision import mixed_precision
from vistok.workbench.training.sharding import average_replicated, clip_gradients, is_sharded, step_by_kind

_BatchT = TypeVar("_BatchT")


@dataclass(frozen=True)
class Learner:
    """A network that learns, with what an update of it takes.

    Attributes:
        model: As ``accelerator.prepare`` returned it.
        optimizer: Of the model, prepared too.
        accelerator: Of the training.
        settings: Precision and clipping.
        losses: Told every term, for a stop where one is not finite.
    """

    model: Any
    optimizer: Any
    accelerator: Accelerator
    settings: TrainConfig
    losses: FiniteLosses

    @classmethod
    def prepared(
        cls, model: Any, optimizer: Any, accelerator: Accelerator, settings: TrainConfig, losses: FiniteLosses
    ) -> Self:
        """A network and its optimizer, prepared for the processes of a training; a sharded network is already."""
        if not is_sharded(model):
            model, optimizer = accelerator.prepare(model, optimizer)
        return cls(model, optimizer, accelerator, settings, losses)

    def precision(self) -> contextlib.AbstractContextManager[None]:
        """Context of a forward pass; the losses come after it, in float32."""
        return mixed_precision(self.accelerator.device, self.settings.mixed_precision)


@dataclass(frozen=True)
class MicroStep:
    """The part that one micro-batch has in an update.

    Attributes:
        learner: What learns.
        step: The step's number, for errors.
        index, count: Which micro-batch this is, of how many.
        log: Terms by name, the means over the micro-batches so far, detached.
    """

    learner: Learner
    step: int
    index: int
    count: int
    log: dict[str, Tensor]

    def backward(self, terms: Mapping[str, Tensor], total: Tensor, batch: Mapping[str, Tensor]) -> None:
        """Add this micro-batch's share of the gradients of ``total``, and of the terms to the log.

        Raises:
            NonFiniteLossError: A term of the step before was not finite; that step's batch is kept.
        """
        self.learner.losses.check(terms, self.step, batch)
        self.learner.accelerator.backward(total / self.count)
        for name, term in terms.items():
            self.log[name] = self.log.get(name, 0.0) + term.detach() / self.count


def micro_steps(
    learner: Learner, step: int, batches: Sequence[_BatchT], log: dict[str, Tensor]
) -> Iterator[tuple[MicroStep, _BatchT]]:
    """Yield the micro-batches of one update; the body passes each forward and calls ``backward`` of its part.

    Gradients of before are forgotten first; after the last micro-batch they are clipped and the optimizer makes its
    step. Processes exchange gradients on the last one only, but for those of sharded weights.

    Args:
        learner: What learns.
        step: The step's number.
        batches: Anything, one a micro-batch.
        log: Filled with the terms by name, means over the micro-batches.
    """
    accelerator, model = learner.accelerator, learner.model
    learner.optimizer.zero_grad(set_to_none=True)
    for index, batch in enumerate(batches):
        last = index == len(batches) - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(model):
            yield MicroStep(learner, step, index, len(batches), log), batch
    sharded, clip_norm = is_sharded(model), learner.settings.clip_norm
    if sharded:
        average_replicated(model.parameters(), accelerator)
    if clip_norm:
        (clip_gradients if sharded else accelerator.clip_grad_norm_)(model.parameters(), clip_norm)
    step_by_kind(learner.optimizer) if sharded else learner.optimizer.step()


def weighted_sum(terms: Mapping[str, Tensor], weights: Config) -> Tensor:
    """The terms times ``<name>_weight`` of a section of the configuration, summed."""
    return torch.stack([getattr(weights, f"{name}_weight") * term for name, term in terms.items()]).sum()
