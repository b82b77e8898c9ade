"""The generators of a run: how each kind is built, what it learns from, and how its samples become images."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vistok.generators import (
    FAR,
    XAR,
    BitTokens,
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
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.tokens.latent_scale import LatentScale
from vistok.workbench.training.generator_training import generator_record
from vistok.workbench.training.precision import mixed_precision
from vqgan.config import AnyGeneratorConfig, AnySampleConfig, MaskedConfig, VQGANConfig
from vqgan.encode import TokenCache
from vqgan.model import VQGAN
from vqgan.quantizer import BitsConfig, Tokens

Generator = XAR | FAR | MaskedAR


def token_units(config: VQGANConfig, settings: AnyGeneratorConfig) -> IdTokens | BitTokens:
    """What a generator predicts at a position: the ids of all streams, or the bits of the code in groups."""
    quantizer = config.tokenizer.quantizer
    if isinstance(settings, MaskedConfig) and settings.num_groups and isinstance(quantizer, BitsConfig):
        return BitTokens(quantizer.bits, settings.num_groups)
    return IdTokens(quantizer.codebook_sizes)


def build_generator(config: VQGANConfig, name: str, num_classes: int) -> Generator:
    """Build xAR on the codes, FAR on the indices of all streams, or masked AR on these or on bits."""
    settings, grid = config.generators[name], config.tokenizer.grid_size
    units = token_units(config, settings)
    sizes = {"width": settings.width, "depth": settings.depth, "num_heads": settings.num_heads}
    shared: dict[str, Any] = {
        "label_drop_prob": settings.label_dropout,
        "dropout": settings.dropout,
        "attention": settings.attention,
    }
    model: Generator
    if isinstance(settings, XARConfig):
        xar = XAROptions(**shared, gate=settings.gate, integer_time=settings.integer_time)
        model = XAR(config.tokenizer.quantizer.code_dim, grid, settings.cell_size, num_classes, **sizes, options=xar)
    elif isinstance(settings, FARConfig):
        far = FAROptions(**shared, prefix_rotation=settings.prefix_rotation, head_depth=settings.head_depth)
        model = FAR(units.unit_sizes, grid, num_classes, **sizes, options=far)
    else:
        masked = MaskedAROptions(**shared)
        model = MaskedAR(units, (grid, grid), num_classes, **sizes, options=masked)
    torch.nn.init.normal_(model.labels.table.weight, std=settings.label_init_std)
    return model


def load_generator(config: VQGANConfig, paths: RunPaths, name: str) -> Generator:
    """A trained generator of a run, in evaluation mode."""
    model = build_generator(config, name, generator_record(paths, name)["num_classes"])
    load_module(model, paths.generator(name))
    return model.eval()


def generator_inputs(config: VQGANConfig, settings: AnyGeneratorConfig, cache: TokenCache, tokens: Tokens) -> Tensor:
    """What a generator learns of cached tokens: scaled latents (xAR), or units ``(B, T, U)``: ids or groups of bits."""
    if isinstance(settings, XARConfig):
        return cache.latents(tokens)
    units = token_units(config, settings)
    if isinstance(units, BitTokens):
        return units.to_groups(cache.codes(tokens).flatten(2).mT)
    return torch.stack([stream.flatten(1) for stream in tokens], dim=-1)


@torch.no_grad()
def generate(
    model: Any,
    tokenizer: VQGAN,
    scale: LatentScale,
    labels: Tensor,
    settings: AnySampleConfig,
    draws: torch.Generator,
) -> Tensor:
    """Images in [-1, 1] of the given classes, from the kind of generator that ``settings`` are for."""
    with mixed_precision(labels.device, settings.mixed_precision):
        drawn = draw(model, labels, settings, draws)
    if isinstance(settings, XARSampleConfig):
        latents = scale.unscale(drawn.cpu())
        return tokenizer.decode(tokenizer.snap(latents)) if settings.snap else tokenizer.decode_latents(latents)
    square = (tokenizer.settings.grid_size,) * 2
    if isinstance(settings, MaskedSampleConfig) and isinstance(model.tokens, BitTokens):
        return tokenizer.decode(tokenizer.snap(model.tokens.to_bits(drawn).mT.unflatten(2, square)))
    return tokenizer.decode(drawn.unflatten(1, square).unbind(-1))


@torch.no_grad()
def draw(
    model: Any,
    labels: Tensor,
    settings: AnySampleConfig,
    draws: torch.Generator,
    *,
    observe: Callable[[Tensor, Tensor], None] | None = None,
) -> Tensor:
    """Scaled latents of xAR, units of FAR and masked AR; the last shows ``observe`` each step and what is hidden."""
    options: dict[str, Any] = {"guidance": settings.guidance}
    if isinstance(settings, XARSampleConfig):
        options = {"guidance": Guidance(settings.guidance, settings.guidance_schedule), "num_steps": settings.num_steps}
    elif isinstance(settings, MaskedSampleConfig):
        options["num_steps"] = min(settings.num_steps, model.length * model.num_units)
        options["settings"] = MaskedSampling(refresh_every=settings.refresh_every)
        options["observe"] = observe
    drawn: Tensor = model.sample(labels, generator=draws, **options)
    return drawn
