"""The names of the stacks of MaskGIT's VQGAN, in the two dialects in which they are published."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import nn

from vistok.tokenizers.autoencoder import Downsample, Upsample
from vistok.tokenizers.maskgit_vqgan import MaskGITDecoder, MaskGITEncoder
from vistok.tokenizers.published._sizes import count, size
from vistok.tokenizers.published._strict_loading import Source

_CHANGES = {"down": "down_conv", "up": "upsample_conv"}


class Dialect(NamedTuple):
    """How files name the blocks of a level and of the middle; whether the decoder's levels begin with the finest."""

    level: str
    middle: str
    finest_first: bool


def encoder_sources(ours: str, theirs: str, encoder: MaskGITEncoder, dialect: Dialect) -> dict[str, Source]:
    """The sources of a whole encoder."""
    places = {index: index // 2 for index in range(len(encoder.levels))}
    return dict(_stack(ours, theirs, encoder, dialect, places, "down"))


def decoder_sources(ours: str, theirs: str, decoder: MaskGITDecoder, dialect: Dialect) -> dict[str, Source]:
    """The sources of a whole decoder."""
    last = len(decoder.levels) // 2
    places = {i: last - i // 2 if dialect.finest_first else i // 2 for i in range(len(decoder.levels))}
    return dict(_stack(ours, theirs, decoder, dialect, places, "up"))


def stack_sizes(state: Mapping[str, Any], stack: str, dialect: Dialect) -> dict[str, Any]:
    """``base_channels``, ``multipliers`` and ``num_blocks`` of a stack, ``down`` or ``up`` of an encoder or decoder."""
    first, _, kind = stack.rpartition(".")
    levels = range(count(state, stack))
    widths = [size(state, f"{stack}.{level}.{dialect.level}.0.conv1.weight", 0) for level in levels]
    if kind == "up" and not dialect.finest_first:
        widths.reverse()
    base = size(state, f"{first}.conv_in.weight", 0) if kind == "down" else size(state, f"{first}.conv_out.weight", 1)
    multipliers = tuple(width // base for width in widths)
    return {"base_channels": base, "multipliers": multipliers, "num_blocks": count(state, f"{first}.{dialect.middle}")}


def _stack(
    ours: str, theirs: str, stack: nn.Module, dialect: Dialect, places: Mapping[int, int], kind: str
) -> Iterator[tuple[str, Source]]:
    parts: Any = stack
    for name in ("conv_in", "norm_out", "conv_out"):
        yield from _same(f"{ours}.{name}", f"{theirs}.{name}", getattr(parts, name))
    yield from _blocks(f"{ours}.middle", f"{theirs}.{dialect.middle}", parts.middle)
    for index, level in enumerate(parts.levels):  # level, change of resolution, level, ...
        here, there = f"{ours}.levels.{index}", f"{theirs}.{kind}.{places[index]}"
        if isinstance(level, Downsample | Upsample):
            yield from _same(f"{here}.conv", f"{there}.{_CHANGES[kind]}", level.conv)
        else:
            yield from _blocks(here, f"{there}.{dialect.level}", level)


def _blocks(ours: str, theirs: str, blocks: nn.Module) -> Iterator[tuple[str, Source]]:
    for index, block in blocks.named_children():
        for part, module in block.named_children():
            there = "nin_shortcut" if part == "shortcut" else part
            yield from _same(f"{ours}.{index}.{part}", f"{theirs}.{index}.{there}", module)


def _same(ours: str, theirs: str, module: nn.Module) -> Iterator[tuple[str, Source]]:
    for leaf, _ in module.named_parameters():
        yield f"{ours}.{leaf}", Source((f"{theirs}.{leaf}",))
