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
from tqdm import tqdm

from glotok.config import GloTokConfig
from glotok.encode import TokenCache, load_tokens
from glotok.generator import build_generator, generator_loss
from glotok.paths import RunPaths
from vistok.workbench.data import batch_indices
from vistok.workbench.finite import check_finite
from vistok.workbench.run import write_atomically
from vistok.workbench.tracking import MetricsLog
from vistok.workbench.training import (
    StopSignal,
    TrainState,
    mixed_precision,
    scheduled_rate,
    seed_step,
    set_learning_rate,
)

logger = logging.getLogger(__name__)

STAGE = "generator"


def train_generator(config: GloTokConfig, paths: RunPaths, *, resume: bool) -> None:
    """Train from ``paths.tokens``; write checkpoints, metrics and ``paths.generator`` (averaged weights where asked for)."""
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    settings = config.train_generator
    cache = load_tokens(paths)
    num_classes = int(cache.labels.max()) + 1

    torch.manual_seed(config.seed)
    bare = build_generator(config, num_classes).to(accelerator.device)
    optimizer = torch.optim.AdamW(
        parameter_groups(bare, settings.weight_decay), lr=settings.learning_rate, betas=settings.betas
    )
    average = AveragedModel(bare, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay)) if settings.ema_decay else None
    objects: dict[str, Any] = {"model": bare, "optimizer": optimizer}
    if average is not None:
        objects["average"] = average
    state = TrainState(
        paths.generator_checkpoints, objects, every=settings.checkpoint_every, writes=accelerator.is_main_process
    )
    start = state.resume() if resume else 0
    metrics = MetricsLog(paths.metrics, enabled=accelerator.is_main_process)
    metrics.rewind(STAGE, start)
    model, optimizer = accelerator.prepare(TrainingLoss(bare), optimizer)

    bar = tqdm(
        range(start, settings.steps), initial=start, total=settings.steps, desc="train generator", unit="step",
        disable=not accelerator.is_main_process,
    )  # fmt: skip
    with StopSignal() as stop:
        for step in bar:
            generator = seed_step(config.seed, step, accelerator.process_index)
            rate = scheduled_rate(
                step, settings.steps, peak=settings.learning_rate, final=settings.final_learning_rate,
                warmup_steps=settings.warmup_steps, decay_start=settings.decay_start,
            )  # fmt: skip
            set_learning_rate(optimizer, rate)
            loss = torch.zeros((), device=accelerator.device)
            optimizer.zero_grad(set_to_none=True)
            for indices in own_batches(len(cache), config, step, accelerator):
                term = model(cache, indices, generator, config)
                check_finite({"generator": term}, step, {"indices": indices}, paths.folder)
                accelerator.backward(term / settings.accumulation)
                loss += term.detach() / settings.accumulation
            if settings.clip_norm:
                accelerator.clip_grad_norm_(model.parameters(), settings.clip_norm)
            optimizer.step()
            if average is not None:
                average.update_parameters(bare)

            done = step + 1
            if done % settings.log_every == 0 or done == settings.steps:
                value = accelerator.reduce(loss, "mean").item()
                metrics.write(STAGE, done, {"loss": value, "learning_rate": rate})
                bar.set_postfix(loss=f"{value:.4f}")
            state.after_step(done, settings.steps, stop)

    if accelerator.is_main_process:
        final = bare if average is None else average.module
        record = {"num_classes": num_classes, "parameters": sum(p.numel() for p in bare.parameters())}
        write_atomically(paths.generator.with_suffix(".json"), json.dumps(record, indent=2) + "\n")
        write_atomically(paths.generator, save({name: t.contiguous() for name, t in final.state_dict().items()}))
    accelerator.wait_for_everyone()


class TrainingLoss(torch.nn.Module):
    """The generator's loss as a forward pass, so that a data-parallel wrapper sees it."""

    def __init__(self, generator: torch.nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, cache: TokenCache, indices: Tensor, draws: torch.Generator, config: GloTokConfig) -> Tensor:
        """Loss of the images ``indices``; half of them flipped where flips are cached."""
        device = next(self.parameters()).device
        flips = torch.rand(len(indices), generator=draws) < 0.5
        tokens = cache.tokens(indices, flips)
        with mixed_precision(device, config.train_generator.mixed_precision):
            return generator_loss(self.generator, cache, tokens, cache.labels[indices].to(device), draws)


def own_batches(count: int, config: GloTokConfig, step: int, accelerator: Accelerator) -> tuple[Tensor, ...]:
    """This process's micro-batches of the step's global batch, as indices."""
    settings = config.train_generator
    parts = accelerator.num_processes * settings.accumulation
    if settings.batch_size % parts:
        raise ValueError(f"train_generator.batch_size: expected a multiple of {parts}, got {settings.batch_size}")
    chunks = batch_indices(count, settings.batch_size, step, config.seed).chunk(parts)
    first = accelerator.process_index * settings.accumulation
    return chunks[first : first + settings.accumulation]


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices only: not for biases, norms and other vectors."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
