"""Train a generator on cached tokens: everything but which generator, and what a batch of it is."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from vistok.workbench.config import Config
from vistok.workbench.data.batch_order import batch_indices
from vistok.workbench.run.devices import open_accelerator, to_device
from vistok.workbench.run.files import read_json, write_atomically
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.tensor_files import save_tensors
from vistok.workbench.run.tracking import MetricsLog
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.learning_rate import set_learning_rate
from vistok.workbench.training.loop import TrainConfig, own_micro_batches, training_steps
from vistok.workbench.training.optimizers import build_optimizer
from vistok.workbench.training.seeds import seed_step
from vistok.workbench.training.sharded_state import whole_state
from vistok.workbench.training.state import TrainState
from vistok.workbench.training.switches import apply_switches
from vistok.workbench.training.update import Learner, micro_steps
from vistok.workbench.training.weight_average import weight_average


class GeneratorTrainConfig(TrainConfig):
    """The generator's optimisation."""

    weight_decay: float = Field(0.0, ge=0)  # of matrices


class GeneratorConfig(Config):
    """What generators of all kinds have; a recipe adds a kind's own settings, and its sample sets, in a subclass."""

    width: int = Field(768, ge=8)
    depth: int = Field(16, ge=1)
    num_heads: int = Field(12, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    label_dropout: float = Field(0.1, ge=0, lt=1)
    label_init_std: float = Field(0.02, gt=0)  # a short run needs labels as loud as the time embedding (about 0.5)
    train: GeneratorTrainConfig
    attention: Literal["sdpa", "xformers"] = "sdpa"  # PyTorch's kernels, or those of xformers (CUDA only)

    @classmethod
    def training_keys(cls) -> list[str]:
        """The settings that a training depends on: not the sample sets, nor the kernels, which change rounding only.

        So a training goes on, and its weights draw, with what the machine has.
        """
        return [key for key in cls.model_fields if key not in ("samples", "attention")]


@dataclass(frozen=True)
class Examples:
    """What a generator learns from.

    Attributes:
        count: How many images there are.
        batch: Gives inputs and labels (on the CPU) of some images; every draw it makes comes from the generator that it
            is given, before those of the loss.
    """

    count: int
    batch: Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]


def train_generator(
    model: nn.Module,
    examples: Examples,
    settings: GeneratorTrainConfig,
    paths: RunPaths,
    *,
    stage: str,
    seed: int,
    resume: bool,
    record: Mapping[str, Any],
) -> None:
    """Train with AdamW, or Muon; write checkpoints, metrics, the weights (averaged where asked for) and their record.

    Args:
        model: What is trained, with ``loss(inputs, labels, generator=)``. Build it after ``torch.manual_seed``.
        examples: What it learns from.
        settings: The optimisation.
        paths: The run. Its ``generator(stage)`` and ``checkpoints(stage)`` are written.
        stage: The generator's name; that of its curve and, in errors, of its loss.
        seed: Decides the order of the images and, with the step and the micro-batch, every draw: several processes
            follow one that accumulates as many micro-batches.
        resume: Continue from the newest checkpoint.
        record: What the .json beside the weights says beyond the number of parameters, such as ``num_classes``.
    """
    accelerator = open_accelerator()
    bare = model.to(accelerator.device)
    average, network = weight_average(bare, settings.ema_decay), TrainingLoss(bare)
    apply_switches(network, average, settings, accelerator)
    optimizer: Any = build_optimizer(bare, settings, settings.weight_decay)
    objects = {"model": bare, "optimizer": optimizer, "average": average}
    folder, writes = paths.checkpoints(stage), accelerator.is_main_process
    losses = FiniteLosses(paths.folder)
    state = TrainState(folder, objects, every=settings.checkpoint_every, writes=writes, losses=losses)
    start = state.resume() if resume else 0
    metrics = MetricsLog(paths.metrics, enabled=writes)
    learner = Learner.prepared(network, optimizer, accelerator, settings, losses)

    for step in training_steps(stage, settings, state, metrics, accelerator, start=start, seed=seed):
        set_learning_rate(optimizer, step.rate)
        drawn = batch_indices(examples.count, settings.batch_size, step.index, seed)
        own = own_micro_batches(drawn, settings.accumulation, accelerator)
        step.log["loss"] = generator_step(learner, examples, own, stage=stage, step=step.index, seed=seed)
        if average is not None:
            average.update_parameters(bare)

    weights = whole_state(bare if average is None else average.module, keep=writes)
    if writes:
        full = {**record, "parameters": sum(p.numel() for p in bare.parameters())}
        write_atomically(_record_file(paths.generator(stage)), json.dumps(full, indent=2) + "\n")
        save_tensors(paths.generator(stage), weights)
    accelerator.wait_for_everyone()


def generator_step(
    learner: Learner, examples: Examples, micro_batches: Sequence[Tensor], *, stage: str, step: int, seed: int
) -> Tensor:
    """One update of a generator over all micro-batches, each the indices of its images.

    Args:
        learner: Of a :class:`TrainingLoss`.
        examples: What it learns from.
        micro_batches: This process's.
        stage: The generator's name, for errors.
        step: The step's number.
        seed: That of the training.

    Returns:
        The loss, the mean over the micro-batches, detached.
    """
    accelerator = learner.accelerator
    log: dict[str, Tensor] = {}
    for micro, indices in micro_steps(learner, step, micro_batches, log):
        draws = seed_step(seed, step, accelerator.process_index * len(micro_batches) + micro.index)
        inputs, labels = (to_device(side, accelerator.device) for side in examples.batch(indices, draws))
        with learner.precision():
            term = learner.model(inputs, labels, draws)
        micro.backward({stage: term}, term, {"indices": indices})
    return log[stage]


def generator_record(paths: RunPaths, name: str) -> dict[str, Any]:
    """What was written beside the weights of a trained generator: ``num_classes``, ``parameters`` and what else."""
    return read_json(_record_file(paths.generator(name)), "num_classes", "parameters")


def generator_classes(paths: RunPaths, name: str) -> tuple[str, ...]:
    """The names of the classes that a trained generator draws; their numbers where its record has no names."""
    record = generator_record(paths, name)
    return tuple(record.get("class_names") or map(str, range(record["num_classes"])))


class TrainingLoss(nn.Module):
    """The generator's loss as a forward pass, so that a data-parallel wrapper sees it."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator: Any = generator

    def forward(self, inputs: Tensor, labels: Tensor, draws: torch.Generator) -> Tensor:
        """The loss."""
        loss: Tensor = self.generator.loss(inputs, labels, generator=draws)
        return loss


def _record_file(weights: Path) -> Path:
    return weights.with_suffix(".json")
