"""The generators of a run: how each kind is built, what it learns from, and how its samples become images."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from glotok.config import AnyGeneratorConfig, AnySampleConfig, GloTokConfig
from glotok.encode import TokenCache
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from vistok.generators import (
    FAR,
    XAR,
    FAROptions,
    Guidance,
    IdTokens,
    MaskedAR,
    MaskedAROptions,
    MaskedSampling,
    XAROptions,
)
from vistok.workbench.backbones.pretrained import load_module
from vistok.workbench.generator_settings import FARConfig, MaskedSampleConfig, XARConfig, XARSampleConfig
from vistok.workbench.tokens.latent_scale import LatentScale
from vistok.workbench.training.generator_training import generator_record
from vistok.workbench.training.precision import mixed_precision

Generator = XAR | FAR | MaskedAR


def build_generator(config: GloTokConfig, name: str, num_classes: int) -> Generator:
    """Build xAR on the pre-residual codes of both branches, concatenated; FAR or masked AR on their indices.

    The streams of FAR and masked AR are visual, then semantic, like the channels.
    """
    settings, grid = config.generators[name], config.tokenizer.grid_size
    books = (config.tokenizer.visual_codebook_size, config.tokenizer.semantic_codebook_size)
    sizes = {"width": settings.width, "depth": settings.depth, "num_heads": settings.num_heads}
    shared: dict[str, Any] = {
        "label_drop_prob": settings.label_dropout,
        "dropout": settings.dropout,
        "attention": settings.attention,
    }
    model: Generator
    if isinstance(settings, XARConfig):
        xar = XAROptions(**shared, gate=settings.gate, integer_time=settings.integer_time)
        model = XAR(2 * config.tokenizer.code_dim, grid, settings.cell_size, num_classes, **sizes, options=xar)
    elif isinstance(settings, FARConfig):
        far = FAROptions(**shared, prefix_rotation=settings.prefix_rotation, head_depth=settings.head_depth)
        model = FAR(books, grid, num_classes, **sizes, options=far)
    else:
        masked = MaskedAROptions(**shared)
        model = MaskedAR(IdTokens(books), (grid, grid), num_classes, **sizes, options=masked)
    torch.nn.init.normal_(model.labels.table.weight, std=settings.label_init_std)
    return model


def load_generator(config: GloTokConfig, paths: RunPaths, name: str) -> Generator:
    """A trained generator of a run, in evaluation mode."""
    model = build_generator(config, name, generator_record(paths, name)["num_classes"])
    load_module(model, paths.generator(name))
    return model.eval()


def generator_inputs(settings: AnyGeneratorConfig, cache: TokenCache, tokens: Tokens) -> Tensor:
    """What a generator learns of cached tokens: scaled latents (xAR), or both streams of indices."""
    return cache.latents(tokens) if isinstance(settings, XARConfig) else to_streams(tokens)


@torch.no_grad()
def generate(
    model: Any,
    tokenizer: GloTok,
    scale: LatentScale,
    labels: Tensor,
    settings: AnySampleConfig,
    draws: torch.Generator,
) -> Tensor:
    """Images in [-1, 1] of the given classes, from the kind of generator that ``settings`` are for."""
    with mixed_precision(labels.device, settings.mixed_precision):
        drawn = draw(model, labels, settings, draws)
    if not isinstance(settings, XARSampleConfig):
        return tokenizer.decode(from_streams(drawn, tokenizer.settings.grid_size))
    latents = scale.unscale(drawn.cpu())
    return tokenizer.decode(tokenizer.snap(latents)) if settings.snap else tokenizer.decode_latents(latents)


@torch.no_grad()
def draw(
    model: Any,
    labels: Tensor,
    settings: AnySampleConfig,
    draws: torch.Generator,
    *,
    observe: Callable[[Tensor, Tensor], None] | None = None,
) -> Tensor:
    """Scaled latents of xAR, streams of FAR and masked AR; the last shows ``observe`` each step and what is hidden."""
    options: dict[str, Any] = {"guidance": settings.guidance}
    if isinstance(settings, XARSampleConfig):
        options = {"guidance": Guidance(settings.guidance, settings.guidance_schedule), "num_steps": settings.num_steps}
    elif isinstance(settings, MaskedSampleConfig):
        options["num_steps"] = min(settings.num_steps, model.length * model.num_units)
        options["settings"] = MaskedSampling(refresh_every=settings.refresh_every)
        options["observe"] = observe
    drawn: Tensor = model.sample(labels, generator=draws, **options)
    return drawn


def to_streams(tokens: Tokens) -> Tensor:
    """Tokens as ``(B, T, 2)``: positions in row-major order, visual then semantic."""
    return torch.stack([tokens.visual.flatten(1), tokens.semantic.flatten(1)], dim=-1)


def from_streams(streams: Tensor, grid_size: int) -> Tokens:
    """Inverse of :func:`to_streams`."""
    visual, semantic = streams.unflatten(1, (grid_size, grid_size)).unbind(-1)
    return Tokens(semantic, visual)
