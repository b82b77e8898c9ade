"""Train the generator on cached tokens (section 3.4 of the paper). The tokenizer itself is not needed."""

from __future__ import annotations

import json
import logging
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import save
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from glotok.config import GloTokConfig, Kind
from glotok.encode import TokenCache, load_tokens
from glotok.generator import Generator, build_generator, generator_loss
from glotok.paths import RunPaths
from vistok.workbench.data import batch_indices
from vistok.workbench.finite import check_finite
from vistok.workbench.loop import own_micro_batches, training_steps
from vistok.workbench.run import write_atomically
from vistok.workbench.tracking import MetricsLog
from vistok.workbench.training import TrainState, mixed_precision, set_learning_rate, sync_on_last

logger = logging.getLogger(__name__)


def train_generator(config: GloTokConfig, paths: RunPaths, kind: Kind, *, resume: bool) -> None:
    """Train from ``paths.tokens``; write checkpoints, metrics and the weights (averaged where asked for)."""
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    settings = config.train_generator
    cache = load_tokens(paths)
    num_classes = int(cache.labels.max()) + 1

    torch.manual_seed(config.seed)
    bare = build_generator(config, num_classes, kind).to(accelerator.device)
    optimizer: Any = torch.optim.AdamW(parameter_groups(bare, settings.weight_decay), betas=settings.betas)
    average = AveragedModel(bare, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay)) if settings.ema_decay else None
    objects: dict[str, Any] = {"model": bare, "optimizer": optimizer}
    if average is not None:
        objects["average"] = average
    state = TrainState(
        paths.generator_checkpoints(kind), objects, every=settings.checkpoint_every, writes=accelerator.is_main_process
    )
    start = state.resume() if resume else 0
    metrics = MetricsLog(paths.metrics, enabled=accelerator.is_main_process)
    model, optimizer = accelerator.prepare(TrainingLoss(bare), optimizer)

    for step in training_steps(kind, settings, state, metrics, accelerator, start=start, seed=config.seed):
        set_learning_rate(optimizer, step.rate)
        loss = torch.zeros((), device=accelerator.device)
        optimizer.zero_grad(set_to_none=True)
        drawn = batch_indices(len(cache), settings.batch_size, step.index, config.seed)
        batches = own_micro_batches(drawn, settings.accumulation, accelerator)
        for index, indices in enumerate(batches):
            with sync_on_last(accelerator, model, index, len(batches)):
                term = model(cache, indices, step.draws, config)
                check_finite({kind: term}, step.index, {"indices": indices}, paths.folder)
                accelerator.backward(term / len(batches))
            loss += term.detach() / len(batches)
        if settings.clip_norm:
            accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        if average is not None:
            average.update_parameters(bare)
        step.log["loss"] = loss

    if accelerator.is_main_process:
        final = bare if average is None else average.module
        record = {"num_classes": num_classes, "parameters": sum(p.numel() for p in bare.parameters())}
        write_atomically(paths.generator(kind).with_suffix(".json"), json.dumps(record, indent=2) + "\n")
        write_atomically(paths.generator(kind), save({name: t.contiguous() for name, t in final.state_dict().items()}))
    accelerator.wait_for_everyone()


class TrainingLoss(torch.nn.Module):
    """The generator's loss as a forward pass, so that a data-parallel wrapper sees it."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator: Generator = generator

    def forward(self, cache: TokenCache, indices: Tensor, draws: torch.Generator, config: GloTokConfig) -> Tensor:
        """Loss of the images ``indices``; half of them flipped where flips are cached."""
        device = next(self.parameters()).device
        flips = torch.rand(len(indices), generator=draws) < 0.5
        tokens = cache.tokens(indices, flips)
        with mixed_precision(device, config.train_generator.mixed_precision):
            return generator_loss(self.generator, cache, tokens, cache.labels[indices].to(device), draws)


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices only: not for biases, norms and other vectors."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
