"""The generators of a run: how each kind is built and drawn from. All see a token as groups of its bits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from semtok.config import Kind, SampleConfig, SemTokConfig, check_kind
from semtok.paths import RunPaths
from vistok.generators import FAR, BitTokens, FAROptions, MaskedAR, MaskedAROptions, MaskedSampling
from vistok.workbench.pretrained import load_module

Generator = FAR | MaskedAR


def build_generator(config: SemTokConfig, num_classes: int, kind: Kind) -> Generator:
    """Masked AR on bits, or FAR with the groups of a token as its streams.

    Raises:
        ConfigError: The kind is xAR, which needs continuous latents on a grid.
    """
    settings, sizes = config.generator, config.tokenizer
    width, depth, heads = settings.width, settings.depth, settings.num_heads
    drop, dropout = settings.label_dropout, settings.dropout
    tokens = BitTokens(sizes.bits, settings.num_groups)
    check_kind(config, kind)
    model: Generator
    if kind == "masked":
        masked = MaskedAROptions(label_drop_prob=drop, dropout=dropout, label_smoothing=settings.label_smoothing)
        model = MaskedAR(
            tokens, sizes.num_tokens, num_classes, width=width, depth=depth, num_heads=heads, options=masked
        )
    else:
        far = FAROptions(label_drop_prob=drop, dropout=dropout, head_depth=settings.head_depth)
        row = (1, sizes.num_tokens)
        model = FAR(tokens.unit_sizes, row, num_classes, width=width, depth=depth, num_heads=heads, options=far)
    torch.nn.init.normal_(model.labels.table.weight, std=settings.label_init_std)
    return model


def load_generator(config: SemTokConfig, paths: RunPaths, num_classes: int, kind: Kind) -> Generator:
    """The trained generator of a run, in evaluation mode."""
    model = build_generator(config, num_classes, kind)
    load_module(model, paths.generator(kind))
    return model.eval()


@torch.no_grad()
def generate(
    model: Generator,
    labels: Tensor,
    config: SemTokConfig,
    draws: torch.Generator,
    *,
    settings: SampleConfig | None = None,
    observe: Callable[[Tensor, Tensor], None] | None = None,
) -> Tensor:
    """Tokens ``(B, N)`` of the given classes; ``observe`` sees groups and mask after each step of masked AR."""
    settings = settings or config.sample
    if isinstance(model, FAR):
        groups = model.sample(labels, guidance=settings.far_guidance, generator=draws)
    else:
        sampling = MaskedSampling(
            order=settings.order, temperature=settings.temperature, noise=settings.confidence_noise
        )
        units = model.length * model.num_units
        groups = model.sample(
            labels, num_steps=min(settings.num_steps, units), guidance=settings.guidance, settings=sampling,
            generator=draws, observe=observe,
        )  # fmt: skip
    return from_groups(groups, config)


def to_groups(tokens: Tensor, config: SemTokConfig) -> Tensor:
    """Tokens ``(B, N)`` as groups of bits ``(B, N, G)``, lowest bits first."""
    shifts, size = _shifts(config, tokens.device)
    return (tokens[..., None] >> shifts) & (size - 1)


def from_groups(groups: Tensor, config: SemTokConfig) -> Tensor:
    """Inverse of :func:`to_groups`."""
    shifts, _ = _shifts(config, groups.device)
    return (groups << shifts).sum(dim=-1)


def _shifts(config: SemTokConfig, device: torch.device) -> tuple[Tensor, int]:
    groups = config.generator.num_groups
    bits = config.tokenizer.bits // groups
    return torch.arange(groups, device=device) * bits, 2**bits
