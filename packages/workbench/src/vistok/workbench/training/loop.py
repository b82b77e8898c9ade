"""The loop that every training shares: seeds, rates, progress, metrics, checkpoints and stops around each step."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, Self

import torch
from accelerate import Accelerator
from pydantic import Field, model_validator
from torch import Tensor

from vistok.workbench.config import Config, MixedPrecision
from vistok.workbench.progress import progress
from vistok.workbench.run.devices import Arriving
from vistok.workbench.run.trackers import tracked
from vistok.workbench.run.tracking import MetricsLog
from vistok.workbench.training.learning_rate import scheduled_rate
from vistok.workbench.training.profiling import profiled
from vistok.workbench.training.seeds import seed_step
from vistok.workbench.training.signals import Interrupted, StopSignal
from vistok.workbench.training.state import TrainState

logger = logging.getLogger(__name__)

_Beta = Annotated[float, Field(ge=0, lt=1)]


class TrainConfig(Config):
    """One optimisation."""

    switches: ClassVar[tuple[str, ...]] = (
        "sharding",
        "async_checkpoints",
        "compile",
        "checkpoint_activations",
        "profile",
        "track",
    )

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)  # global: over all processes and accumulated micro-batches
    accumulation: int = Field(1, ge=1)  # micro-batches a step
    optimizer: Literal["adam", "muon"] = "adam"  # muon: of the matrices in transformer blocks; all else is Adam's
    learning_rate: float = Field(2e-4, gt=0)
    muon_rate: float = Field(5.0, gt=0)  # of those matrices, over the learning rate
    betas: tuple[_Beta, _Beta] = (0.9, 0.95)
    warmup_steps: int = Field(0, ge=0)
    decay_start: float = Field(1.0, ge=0, le=1)  # fraction of the steps after which a cosine falls to the final rate
    final_learning_rate: float = Field(0.0, ge=0)
    clip_norm: float = Field(0.0, ge=0)  # of the gradients, a discriminator's too; 0: no clipping
    ema_decay: float = Field(0.0, ge=0, lt=1)  # of the average of the weights that is kept; 0: the last weights are
    mixed_precision: MixedPrecision = "no"
    sharding: Literal["none", "full"] = "none"  # of weights, gradients, moments and average among the processes (FSDP2)
    async_checkpoints: bool = False  # of what is sharded: written while the training goes on, from a copy in memory
    compile: bool = False  # blocks of the networks, by torch.compile
    checkpoint_activations: bool = False  # keep what goes into a block, and compute what is inside it once more
    profile: int = Field(0, ge=0)  # so many steps are traced, after three
    track: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()  # who follows the metrics, beside metrics.jsonl
    checkpoint_every: int = Field(1000, ge=1)
    log_every: int = Field(50, ge=1)

    @model_validator(mode="after")
    def _batch_divides(self) -> Self:
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"accumulation: expected a divisor of batch_size = {self.batch_size}, got {self.accumulation}"
            )
        return self


@dataclass
class Step:
    """One step of training.

    Attributes:
        index: Its number, from 0.
        rate: Its learning rate.
        draws: A generator of this step's and process's own.
        shown: Whether trackers want pictures of it: a checkpoint is due, or it is the last one.
        log: What the loop's body measured, scalars by name, on any device; means over the processes are written when
            due.
        pictures: Images of this process, ``(N, C, H, W)`` in ``[-1, 1]``, and what the body made of them; the first
            process's are shown.
    """

    index: int
    rate: float
    draws: torch.Generator
    shown: bool = False
    log: dict[str, Tensor] = field(default_factory=dict)
    pictures: tuple[Tensor, Tensor] | None = None


def training_steps(
    stage: str,
    settings: TrainConfig,
    state: TrainState,
    metrics: MetricsLog,
    accelerator: Accelerator,
    *,
    start: int,
    seed: int,
) -> Iterator[Step]:
    """Yield the steps from ``start`` on; around each one do what any training must.

    Before the body: seed everything from ``(seed, step, process)``. After it: write its log when due, save a checkpoint
    when due, and answer a :class:`StopSignal` on any process (of several, all stop after the same step, the next one);
    one that comes in the last step stops the run behind it.
    A warm-up longer than the training is told at its beginning.

    Raises:
        NonFiniteLossError: A loss of the step was not finite, and its log or a checkpoint is due.
        Interrupted: A stop was asked for; the checkpoint of the finished step is written.
    """
    metrics.rewind(stage, start)
    first, steps = accelerator.is_main_process, range(start, settings.steps)
    if first:
        _tell_long_warmup(stage, settings)
    indices = progress(steps, f"train {stage}", unit="steps", total=settings.steps, initial=start, shown=first)
    any_process, folder = _AnyProcess(accelerator), metrics.path.parent
    traced = settings.profile if first else 0
    with (
        StopSignal() as stop,
        profiled(folder / f"profile-{stage}.json", traced) as trace,
        tracked(settings.track, stage, folder, accelerator) as track,
    ):
        for index in indices:
            rate = scheduled_rate(
                index,
                settings.steps,
                peak=settings.learning_rate,
                final=settings.final_learning_rate,
                warmup_steps=settings.warmup_steps,
                decay_start=settings.decay_start,
            )
            done = index + 1
            shown = bool(settings.track) and (done % settings.checkpoint_every == 0 or done == settings.steps)
            step = Step(index, rate, seed_step(seed, index, accelerator.process_index), shown)
            yield step
            trace()
            if done % settings.log_every == 0 or done == settings.steps:
                state.losses.settle()
                values = {name: _mean(value, accelerator) for name, value in step.log.items()}
                metrics.write(stage, done, {**values, "learning_rate": rate})
                track.values({**values, "learning_rate": rate}, done)
                indices.note(dict(list(values.items())[:3]))
            agreed = any_process.asked(stop.requested)
            state.after_step(done, settings.steps, agreed, accelerator, beside=settings.async_checkpoints)
            if shown and step.pictures is not None:
                track.pictures(*step.pictures, done)
        if any_process.asked_by_now(stop.requested):  # during the last step, or while it was saved
            raise Interrupted.after(settings.steps, settings.steps)


def own_micro_batches(batch: Tensor, accumulation: int, accelerator: Accelerator) -> tuple[Tensor, ...]:
    """This process's micro-batches of a step's global batch (indices, or anything drawn for each of its items).

    Raises:
        ValueError: The batch does not divide evenly.
    """
    parts = accelerator.num_processes * accumulation
    if len(batch) % parts:
        raise ValueError(
            f"batch_size: expected a multiple of {accelerator.num_processes} processes x {accumulation} micro-batches, "
            f"got {len(batch)}"
        )
    first = accelerator.process_index * accumulation
    return batch.chunk(parts)[first : first + accumulation]


def _mean(value: Tensor, accelerator: Accelerator) -> float:
    """Over the processes, which meet on their devices: a group of GPUs refuses what lies on the CPU."""
    mean: float = accelerator.reduce(value.to(accelerator.device), "mean").item()
    return mean


class _AnyProcess:
    """Whether any process was asked to stop. Of several, all learn it a step later: so none waits for its device."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator, self._alone = accelerator, accelerator.num_processes == 1
        self._told: Arriving | None = None

    def asked(self, own: bool) -> bool:
        if self._alone:
            return own
        before, self._told = self._told, self._sum(own)
        return before is not None and before.read().item() > 0

    def asked_by_now(self, own: bool) -> bool:
        """All wait for each other."""
        return own if self._alone else self._sum(own).read().item() > 0

    def _sum(self, own: bool) -> Arriving:
        return Arriving(self._accelerator.reduce(torch.full((), float(own), device=self._accelerator.device), "sum"))


def _tell_long_warmup(stage: str, settings: TrainConfig) -> None:
    if settings.warmup_steps > settings.steps:
        logger.warning(
            "%s: the rate never reaches learning_rate: expected warmup_steps of at most %d, as many as steps, got %d",
            *(stage, settings.steps, settings.warmup_steps),
        )
