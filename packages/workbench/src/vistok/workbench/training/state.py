"""What a training keeps between its steps: saved, resumed exactly, or begun with another training's."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator

from vistok.workbench.config import ConfigError
from vistok.workbench.run.checkpoint import (
    begin_sharded_checkpoint,
    is_checkpoint,
    load_checkpoint,
    load_latest_checkpoint,
    save_checkpoint,
    save_sharded_checkpoint,
    step_of,
)
from vistok.workbench.run.processes import group_beside
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.sharded_state import Patterns
from vistok.workbench.training.sharding import is_sharded
from vistok.workbench.training.signals import Interrupted

logger = logging.getLogger(__name__)

_LONGEST_REASON = 240


class Stateful(Protocol):
    """Anything with a state to save: models, optimizers, weight averages."""

    def state_dict(self) -> Mapping[str, Any]: ...  # noqa: D102
    def load_state_dict(self, state_dict: Any) -> Any: ...  # noqa: D102


class TrainState:
    """What must survive a kill: named stateful objects and the number of steps done.

    Args:
        folder: Where the checkpoints go.
        objects: Models, optimizers, averages by name; unwrapped (not the DDP wrappers). Where there is none, ``None``.
            Where weights are sharded among processes, so are the checkpoints; either kind is read by any training.
        every: Steps between checkpoints.
        writes: Whether this process writes (the main one); all processes read, and all write what is sharded.
        losses: What the training's steps tell their terms; nothing is saved of a step with one that is not finite.
    """

    def __init__(
        self,
        folder: Path,
        objects: Mapping[str, Stateful | None],
        *,
        every: int,
        writes: bool,
        losses: FiniteLosses,
    ) -> None:
        self.folder = folder
        self.objects = {name: item for name, item in objects.items() if item is not None}
        self.every = every
        self.writes = writes
        self.losses = losses
        self._group: Any = None
        self._being_written: Future[None] | None = None

    def resume(self) -> int:
        """Load the newest readable checkpoint and return its step; 0 if there is none."""
        patterns = Patterns(self.objects)
        found = load_latest_checkpoint(self.folder, patterns.like)
        if found is None:
            return 0
        step, state = found[0], patterns.divide(found[1])
        for name, item in self.objects.items():
            item.load_state_dict(state[name])
        logger.info("resumed %s from step %d", self.folder, step)
        return step

    def start_from(self, source: Path) -> None:
        """Begin with all that another training's checkpoint holds, as if it were this one's; steps count from 0.

        Objects that it lacks begin anew, as the log says; optimizers keep their own rates and betas.

        Args:
            source: A checkpoint, or the folder of a training's checkpoints, of which the newest readable one counts.

        Raises:
            ConfigError: There is no checkpoint, or it is of another architecture.
            CheckpointError: None can be read.
        """
        patterns = Patterns(self.objects)
        if source.is_dir() and not is_checkpoint(source):
            found = load_latest_checkpoint(source, patterns.like)
        else:
            found = step_of(source), load_checkpoint(source, patterns.like)
        if found is None:
            raise ConfigError(f"init_from: {source} holds no checkpoint")
        step, state = found[0], patterns.divide(found[1])
        for name, item in self.objects.items():
            if name in state:
                _load_state(item, state[name], f"init_from: {name} of {source}")
        new = ", ".join(name for name in self.objects if name not in state) or "nothing"
        unused = ", ".join(name for name in state if name not in self.objects) or "nothing"
        logger.info("start from step %d of %s; begins anew: %s; left out: %s", step, source, new, unused)

    def save(self, step: int, *, beside: bool = False) -> None:
        """Write a checkpoint of ``step``; all processes call this.

        Args:
            step: The number of steps done.
            beside: Of what is sharded, only begin to, once the checkpoint before it is written.

        Raises:
            CheckpointError: It cannot be written, or the one before it could not.
        """
        sharded = any(map(is_sharded, self.objects.values()))
        if not sharded and not self.writes:
            return
        state = {name: item.state_dict() for name, item in self.objects.items()}
        if sharded and beside:
            self.wait()
            self._group = self._group or group_beside()
            self._being_written = begin_sharded_checkpoint(self.folder, step, state, self._group)
        else:
            save = save_sharded_checkpoint if sharded else save_checkpoint
            save(self.folder, step, state)

    def wait(self) -> None:
        """Go on once no checkpoint is being written; raises as :meth:`save` does."""
        writing, self._being_written = self._being_written, None
        if writing is not None:
            writing.result()

    def after_step(self, step: int, steps: int, stop: bool, accelerator: Accelerator, *, beside: bool = False) -> None:
        """Save when it is time to, at the end, or when a stop was asked for (then raise :class:`Interrupted`).

        Of several processes all give the same ``stop``.

        Raises:
            NonFiniteLossError: A loss was not finite, of this process; then no process saves.
            CheckpointError: As :meth:`save`; of one that was begun, at the first step after its failure.
        """
        if self._being_written is not None and self._being_written.done():
            self.wait()
        if stop or step % self.every == 0 or step == steps:
            self.losses.settle()
            accelerator.wait_for_everyone()  # one whose loss is not finite does not come
            self.save(step, beside=beside)
        if stop or step == steps:
            self.wait()
        if stop:
            raise Interrupted.after(step, steps)


def _load_state(item: Stateful, state: Any, what: str) -> None:
    """Load a state of another training; an optimizer keeps its own options (rates, betas), and takes the moments."""
    own = [{**group, "params": None} for group in item.param_groups] if isinstance(item, torch.optim.Optimizer) else []
    try:
        item.load_state_dict(state)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        raise ConfigError(f"{what} does not fit: {reason}") from error
    if isinstance(item, torch.optim.Optimizer):
        for group, options in zip(item.param_groups, own, strict=True):
            group.update({name: value for name, value in options.items() if name != "params"})
