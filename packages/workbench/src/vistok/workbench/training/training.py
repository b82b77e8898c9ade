"""Pieces of a training loop: seeds by step, learning rate by step, precision, state that resumes exactly."""

from __future__ import annotations

import contextlib
import logging
import math
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vistok.workbench.config import ConfigError
from vistok.workbench.run.checkpoint import load_checkpoint, load_latest_checkpoint, save_checkpoint, step_of

logger = logging.getLogger(__name__)

_LONGEST_REASON = 240


class Interrupted(RuntimeError):
    """The run was asked to stop; everything up to the named step is saved."""


class Stateful(Protocol):
    """Anything with a state to save: models, optimizers, weight averages."""

    def state_dict(self) -> Mapping[str, Any]: ...  # noqa: D102
    def load_state_dict(self, state_dict: Any) -> Any: ...  # noqa: D102


def best_device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seed_step(seed: int, step: int, part: int = 0) -> torch.Generator:
    """Seed torch's global generator for a part of one step and return a generator for explicit draws.

    A part is a process, or a micro-batch counted over all processes. All randomness follows from
    ``(seed, step, part)``, so a resumed run needs no generator state: step 100 draws the same numbers whether or not
    steps 0 to 99 ran in this process.
    """
    mixed = (seed * 1_000_003 + step) * 4_099 + part
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed ^ 0x5DEECE66D)


def scheduled_rate(
    step: int, steps: int, *, peak: float, final: float = 0.0, warmup_steps: int = 0, decay_start: float = 1.0
) -> float:
    """Rate of a step: linear warm-up, constant, then a cosine from ``decay_start * steps`` on down to ``final``."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    begin = decay_start * steps
    if step < begin or begin >= steps:
        return peak
    fraction = (step - begin) / (steps - begin)
    return final + (peak - final) * 0.5 * (1.0 + math.cos(math.pi * fraction))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give all parameter groups one learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


@contextlib.contextmanager
def mixed_precision(device: torch.device, kind: str) -> Iterator[None]:
    """Autocast to bfloat16 where ``kind`` is ``"bf16"``; parameters stay float32.

    On CPUs attention then takes its plain form: the fused kernel's backward pass is the slower one there for the short
    sequences that fit a CPU.
    """
    plain = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else contextlib.nullcontext()
    with plain, torch.autocast(device.type, torch.bfloat16, enabled=kind == "bf16"):
        yield


def weight_average(model: torch.nn.Module, decay: float) -> AveragedModel | None:
    """The exponential average of a model's weights that each step updates; none where ``decay`` is 0."""
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None


def sync_on_last(accelerator: Accelerator, model: torch.nn.Module, index: int, count: int) -> Any:
    """Context of one micro-batch: processes exchange gradients on the last of ``count`` only."""
    return contextlib.nullcontext() if index == count - 1 else accelerator.no_sync(model)


class TrainState:
    """What must survive a kill: named stateful objects and the number of steps done.

    Args:
        folder: Where the checkpoints go.
        objects: Models, optimizers, averages by name; unwrapped (not the DDP wrappers).
        every: Steps between checkpoints.
        writes: Whether this process writes (the main one); all processes read.
    """

    def __init__(self, folder: Path, objects: Mapping[str, Stateful], *, every: int, writes: bool) -> None:
        self.folder = folder
        self.objects = dict(objects)
        self.every = every
        self.writes = writes

    def resume(self) -> int:
        """Load the newest readable checkpoint and return its step; 0 if there is none."""
        found = load_latest_checkpoint(self.folder)
        if found is None:
            return 0
        step, state = found
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
        found = load_latest_checkpoint(source) if source.is_dir() else (step_of(source), load_checkpoint(source))
        if found is None:
            raise ConfigError(f"init_from: {source} holds no checkpoint")
        step, state = found
        for name, item in self.objects.items():
            if name in state:
                _load_state(item, state[name], f"init_from: {name} of {source}")
        new = ", ".join(name for name in self.objects if name not in state) or "nothing"
        unused = ", ".join(name for name in state if name not in self.objects) or "nothing"
        logger.info("start from step %d of %s; begins anew: %s; left out: %s", step, source, new, unused)

    def save(self, step: int) -> None:
        """Write a checkpoint of ``step``."""
        if self.writes:
            save_checkpoint(self.folder, step, {name: item.state_dict() for name, item in self.objects.items()})

    def after_step(self, step: int, steps: int, stop: StopSignal) -> None:
        """Save when it is time to, at the end, or when a stop was asked for (then raise :class:`Interrupted`)."""
        if stop.requested or step % self.every == 0 or step == steps:
            self.save(step)
        if stop.requested and step < steps:
            raise Interrupted(f"stopped after step {step} of {steps}, which is saved; --resume continues from there")


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


class StopSignal:
    """Turn the first Ctrl-C or SIGTERM into a request, answered after the current step; the second one kills."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._ask)
        except ValueError:  # not the main thread: signals stay as they are
            self._previous.clear()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        logger.warning("stopping after this step; interrupt again to stop at once")
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
