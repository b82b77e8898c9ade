"""The names of LlamaGen's convolutional encoder and decoder, which FQGAN's code took over."""

from collections.abc import Iterator

from torch import nn

from vistok.tokenizers.autoencoder import Decoder, Downsample, Encoder, ResidualBlock, Upsample
from vistok.tokenizers.published._strict_loading import Source, layer

_GROUPS = 32  # of every normalisation of the published networks; their weights do not show it
# The parts of a block: here -> there. Several names are concatenated.
_PARTS = {"shortcut": ("nin_shortcut",), "qkv": ("q", "k", "v"), "out": ("proj_out",)}


def autoencoder_sources(encoder: Encoder, decoder: Decoder) -> dict[str, Source]:
    """The sources of the encoder up to its middle, and of the whole decoder."""
    return {
        **dict(_stack("encoder", encoder)),
        **dict(_stack("decoder", decoder)),
        **layer("decoder.norm_out", "decoder.norm_out"),
        **layer("decoder.conv_out", "decoder.conv_out"),
    }


def other_groups(model: nn.Module) -> Iterator[str]:
    """The normalisations that have other groups than the published networks' 32."""
    for name, module in model.named_modules():
        if isinstance(module, nn.GroupNorm) and module.num_groups != _GROUPS:
            yield f"{name}: {module.num_groups} groups, the published network has {_GROUPS}"


def _stack(name: str, stack: Encoder | Decoder) -> Iterator[tuple[str, Source]]:
    yield from layer(f"{name}.conv_in", f"{name}.conv_in").items()
    for index, block in enumerate(stack.middle):
        yield from _block(f"{name}.middle.{index}", f"{name}.mid.{index}", block)
    for index, level in enumerate(stack.levels):  # level, change of resolution, level, ...
        theirs = f"{name}.conv_blocks.{index // 2}"
        if isinstance(level, Downsample | Upsample):
            change = "downsample" if isinstance(level, Downsample) else "upsample"
            yield from _block(f"{name}.levels.{index}", f"{theirs}.{change}", level)
            continue
        counts = {"res": 0, "attn": 0}
        for place, block in enumerate(level.children()):
            kind = "res" if isinstance(block, ResidualBlock) else "attn"
            yield from _block(f"{name}.levels.{index}.{place}", f"{theirs}.{kind}.{counts[kind]}", block)
            counts[kind] += 1


def _block(ours: str, theirs: str, block: nn.Module) -> Iterator[tuple[str, Source]]:
    """Of a residual block, an attention block or a change of resolution."""
    for part, module in block.named_children():
        if not isinstance(module, nn.Identity):
            names = (f"{theirs}.{name}" for name in _PARTS.get(part, (part,)))
            yield from layer(f"{ours}.{part}", *names).items()
