"""The names of the convolutional encoder and decoder in the code of VQGAN and of LlamaGen, which others took over."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import nn

from vistok.tokenizers.autoencoder import Decoder, Downsample, Encoder, ResidualBlock, Upsample
from vistok.tokenizers.published._strict_loading import Source, layer

_GROUPS = 32  # of every normalisation of the published networks; their weights do not show it
# The parts of a block: here -> there. Several names are concatenated.
_PARTS = {"shortcut": ("nin_shortcut",), "qkv": ("q", "k", "v"), "out": ("proj_out",)}


class Layout(NamedTuple):
    """How an author names the blocks of a stack."""

    level: Callable[[str, int, int], str]  # of the stack, the level's place in it, and how many levels it has
    middle: tuple[str, str, str]
    block: str  # residual, of a level; its attention is "attn" everywhere


LLAMAGEN = Layout(lambda stack, place, _: f"{stack}.conv_blocks.{place}", ("mid.0", "mid.1", "mid.2"), "res")
VQGAN = Layout(  # the decoder's levels are counted from full resolution as the encoder's are
    lambda stack, place, count: f"{stack}.down.{place}" if stack == "encoder" else f"{stack}.up.{count - 1 - place}",
    ("mid.block_1", "mid.attn_1", "mid.block_2"),
    "block",
)


def autoencoder_sources(encoder: Encoder, decoder: Decoder, layout: Layout = LLAMAGEN) -> dict[str, Source]:
    """The sources of the encoder up to its middle, and of the whole decoder."""
    return {
        **dict(_stack("encoder", encoder, layout)),
        **dict(_stack("decoder", decoder, layout)),
        **layer("decoder.norm_out", "decoder.norm_out"),
        **layer("decoder.conv_out", "decoder.conv_out"),
    }


def other_groups(model: nn.Module) -> Iterator[str]:
    """The normalisations that have other groups than the published networks' 32."""
    for name, module in model.named_modules():
        if isinstance(module, nn.GroupNorm) and module.num_groups != _GROUPS:
            yield f"{name}: {module.num_groups} groups, the published network has {_GROUPS}"


def _stack(name: str, stack: Encoder | Decoder, layout: Layout) -> Iterator[tuple[str, Source]]:
    yield from layer(f"{name}.conv_in", f"{name}.conv_in").items()
    for index, (block, theirs) in enumerate(zip(stack.middle, layout.middle, strict=True)):
        yield from block_sources(f"{name}.middle.{index}", f"{name}.{theirs}", block)
    for index, level in enumerate(stack.levels):  # level, change of resolution, level, ...
        theirs = layout.level(name, index // 2, len(stack.levels) // 2 + 1)
        if isinstance(level, Downsample | Upsample):
            change = "downsample" if isinstance(level, Downsample) else "upsample"
            yield from block_sources(f"{name}.levels.{index}", f"{theirs}.{change}", level)
            continue
        counts = {layout.block: 0, "attn": 0}
        for place, block in enumerate(level.children()):
            kind = layout.block if isinstance(block, ResidualBlock) else "attn"
            yield from block_sources(f"{name}.levels.{index}.{place}", f"{theirs}.{kind}.{counts[kind]}", block)
            counts[kind] += 1


def block_sources(ours: str, theirs: str, block: nn.Module) -> Iterator[tuple[str, Source]]:
    """Of a residual block, an attention block or a change of resolution."""
    for part, module in block.named_children():
        if not isinstance(module, nn.Identity):
            names = (f"{theirs}.{name}" for name in _PARTS.get(part, (part,)))
            bias = getattr(module, "bias", None) is not None
            yield from layer(f"{ours}.{part}", *names, bias=bias).items()
