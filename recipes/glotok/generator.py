"""The generator of a run: how it is built, what it learns from, and how its samples become tokens."""

from __future__ import annotations

import torch
from safetensors.torch import load_file
from torch import Tensor

from glotok.config import GloTokConfig
from glotok.encode import TokenCache
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from vistok.generators import XAR, Guidance, XAROptions


def build_generator(config: GloTokConfig, num_classes: int) -> XAR:
    """xAR on the pre-residual codes of both branches, concatenated along channels (section 3.4)."""
    settings = config.generator
    model = XAR(
        2 * config.tokenizer.code_dim,
        config.tokenizer.grid_size,
        settings.cell_size,
        num_classes,
        width=settings.width,
        depth=settings.depth,
        num_heads=settings.num_heads,
        options=XAROptions(label_drop_prob=settings.label_dropout, dropout=settings.dropout),
    )
    torch.nn.init.normal_(model.labels.table.weight, std=settings.label_init_std)
    return model


def load_generator(config: GloTokConfig, paths: RunPaths, num_classes: int) -> XAR:
    """The trained generator of a run, in evaluation mode."""
    model = build_generator(config, num_classes)
    model.load_state_dict(load_file(paths.generator))
    return model.eval()


def generator_loss(model: XAR, cache: TokenCache, tokens: Tokens, labels: Tensor, draws: torch.Generator) -> Tensor:
    """Training loss on a batch of cached tokens."""
    return model.loss(cache.latents(tokens).to(labels.device), labels, generator=draws)


@torch.no_grad()
def generate(
    model: XAR, tokenizer: GloTok, cache: TokenCache, labels: Tensor, config: GloTokConfig, draws: torch.Generator
) -> Tensor:
    """Images in [-1, 1] of the given classes; each half of a latent is snapped to its nearest code where asked for."""
    guidance = Guidance(config.sample.guidance, config.sample.guidance_schedule)
    latents = model.sample(labels, num_steps=config.sample.num_steps, guidance=guidance, generator=draws)
    unscaled = cache.unscale(latents)
    return tokenizer.decode(tokenizer.snap(unscaled)) if config.generator.snap else tokenizer.decode_latents(unscaled)
