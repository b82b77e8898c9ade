"""The generators of a run: how each kind is built, what it learns from, and how its samples become images."""

from __future__ import annotations

import torch
from torch import Tensor

from glotok.config import GloTokConfig, Kind
from glotok.encode import TokenCache
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from vistok.generators import FAR, XAR, FAROptions, Guidance, IdTokens, MaskedAR, MaskedAROptions, XAROptions
from vistok.workbench.pretrained import load_module

Generator = XAR | FAR | MaskedAR


def build_generator(config: GloTokConfig, num_classes: int, kind: Kind) -> Generator:
    """Build xAR on the pre-residual codes of both branches, concatenated; FAR or masked AR on their indices.

    The streams of FAR and masked AR are visual, then semantic, like the channels.
    """
    settings, grid = config.generator, config.tokenizer.grid_size
    sizes = (config.tokenizer.visual_codebook_size, config.tokenizer.semantic_codebook_size)
    width, depth, heads = settings.width, settings.depth, settings.num_heads
    drop, dropout = settings.label_dropout, settings.dropout
    model: Generator
    if kind == "xar":
        xar = XAROptions(label_drop_prob=drop, dropout=dropout)
        channels = 2 * config.tokenizer.code_dim
        model = XAR(
            channels, grid, settings.cell_size, num_classes, width=width, depth=depth, num_heads=heads, options=xar
        )
    elif kind == "far":
        far = FAROptions(label_drop_prob=drop, dropout=dropout, head_depth=settings.head_depth)
        model = FAR(sizes, grid, num_classes, width=width, depth=depth, num_heads=heads, options=far)
    else:
        masked = MaskedAROptions(label_drop_prob=drop, dropout=dropout)
        model = MaskedAR(
            IdTokens(sizes), (grid, grid), num_classes, width=width, depth=depth, num_heads=heads, options=masked
        )
    torch.nn.init.normal_(model.labels.table.weight, std=settings.label_init_std)
    return model


def load_generator(config: GloTokConfig, paths: RunPaths, num_classes: int, kind: Kind) -> Generator:
    """The trained generator of a run, in evaluation mode."""
    model = build_generator(config, num_classes, kind)
    load_module(model, paths.generator(kind))
    return model.eval()


def generator_inputs(kind: Kind, cache: TokenCache, tokens: Tokens) -> Tensor:
    """What a generator of this kind learns of cached tokens: scaled latents (xAR), or both streams of indices."""
    return cache.latents(tokens) if kind == "xar" else to_streams(tokens)


@torch.no_grad()
def generate(
    model: Generator, tokenizer: GloTok, cache: TokenCache, labels: Tensor, config: GloTokConfig, draws: torch.Generator
) -> Tensor:
    """Images in [-1, 1] of the given classes; xAR's latents are snapped to their nearest codes where asked for."""
    settings = config.sample
    if isinstance(model, FAR):
        return tokenizer.decode(
            from_streams(model.sample(labels, guidance=settings.far_guidance, generator=draws), config)
        )
    if isinstance(model, MaskedAR):
        streams = model.sample(
            labels, num_steps=settings.masked_steps, guidance=settings.masked_guidance, generator=draws
        )
        return tokenizer.decode(from_streams(streams, config))
    guidance = Guidance(settings.guidance, settings.guidance_schedule)
    latents = model.sample(labels, num_steps=settings.num_steps, guidance=guidance, generator=draws)
    latents = cache.unscale(latents.cpu())
    return tokenizer.decode(tokenizer.snap(latents)) if config.generator.snap else tokenizer.decode_latents(latents)


def to_streams(tokens: Tokens) -> Tensor:
    """Tokens as ``(B, T, 2)``: positions in row-major order, visual then semantic."""
    return torch.stack([tokens.visual.flatten(1), tokens.semantic.flatten(1)], dim=-1)


def from_streams(streams: Tensor, config: GloTokConfig) -> Tokens:
    """Inverse of :func:`to_streams`."""
    grid = config.tokenizer.grid_size
    visual, semantic = streams.unflatten(1, (grid, grid)).unbind(-1)
    return Tokens(semantic, visual)
