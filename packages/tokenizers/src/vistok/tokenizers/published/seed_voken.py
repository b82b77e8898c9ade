"""Weights in the layouts of SEED-Voken: Open-MAGVIT2 and IBQ."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload

from torch import Tensor, nn

from vistok.tokenizers.lookup_free_tokenizer import LookupFreeTokenizer
from vistok.tokenizers.published._autoencoder_names import VQGAN, autoencoder_sources, block_sources, other_groups
from vistok.tokenizers.published._strict_loading import Source, layer, load_strictly

_AVERAGE = "model_ema."  # before the names of averaged weights, which have lost their dots
_IGNORED = r"loss\..*|model_ema\.(decay|num_updates|loss.*)"  # for training only
_NOT_AVERAGED = r"(encoder|decoder|quantize|quant_conv|post_quant_conv)\..*"
_ModelT = TypeVar("_ModelT", bound=nn.Module)


@overload
def load_open_magvit2(state: Mapping[str, Tensor]) -> LookupFreeTokenizer: ...
@overload
def load_open_magvit2(state: Mapping[str, Tensor], model: _ModelT) -> _ModelT: ...
def load_open_magvit2(state: Mapping[str, Tensor], model: Any = None) -> Any:
    """Load weights in the layout of Open-MAGVIT2's image tokenizers: the averaged ones where the state holds any.

    Args:
        state: The flat state dict: of the published file, its ``"state_dict"`` entry.
        model: The network to fill, with the parts and names of a :class:`LookupFreeTokenizer`; that of 2^18 codes at
            stride 16 if ``None``. Stride 8 is ``LookupFreeTokenizer(multipliers=(1, 2, 2, 4))``, 2^14 codes
            ``LookupFreeTokenizer(14)``.

    Returns:
        The model, in evaluation mode if it was made here.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, and groups of normalisation, which no shape shows. The model is unchanged then.
        TypeError: ``state`` is no mapping.

    Example:
        >>> small = LookupFreeTokenizer(4, multipliers=(1, 1), num_blocks=1)
        >>> load_open_magvit2({"quant_conv.bias": small.encoder.conv_out.bias}, small)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... entries: quant_conv.bias: no place in the model; ...
    """
    model = LookupFreeTokenizer().eval() if model is None else model
    _load(state, model, dict(_open_magvit2(model)), list(other_groups(model)))
    return model


def load_ibq(state: Mapping[str, Tensor], model: _ModelT) -> _ModelT:
    """Load weights in the layout of IBQ's tokenizers: the averaged ones where the state holds any.

    Args:
        state: The flat state dict: of the published file, its ``"state_dict"`` entry.
        model: The network to fill, with the parts that :func:`load_llamagen_vq16` names; its quantizer is an
            ``IndexBackpropagationQuantizer``.

    Returns:
        The model.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, and what no shape shows: groups of normalisation, and another quantizer. The model is unchanged then.
        TypeError: ``state`` is no mapping.

    Example:
        >>> from vistok.quantizers import IndexBackpropagationQuantizer
        >>> from vistok.tokenizers import Adapter, Decoder, Encoder
        >>> small = nn.Module()
        >>> small.encoder, small.decoder = Encoder(3, 128, (1, 1), 1), Decoder(8, 3, 128, (1, 1), 1)
        >>> small.head = Adapter(128, 8, 4, grid_size=1, depth=0, num_heads=1)
        >>> small.quantizer, small.post_quantization = IndexBackpropagationQuantizer(16, 4), nn.Conv2d(4, 8, 1)
        >>> load_ibq({"decoder.conv_up.bias": small.decoder.conv_out.bias}, small)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... entries: decoder.conv_up.bias: no place in the model; ...
    """
    parts: Any = model
    sources = {
        **autoencoder_sources(parts.encoder, parts.decoder, VQGAN),
        **layer("head.norm", "encoder.norm_out"),
        **layer("head.conv", "encoder.conv_out"),
        **layer("head.to_code", "quant_conv"),
        "quantizer.weight": Source(("quantize.embedding.weight",)),
        **layer("post_quantization", "post_quant_conv"),
    }
    kind = type(parts.quantizer).__name__
    dots = kind == "IndexBackpropagationQuantizer"  # another one would take the codes and choose otherwise
    otherwise = [] if dots else [f"quantizer: {kind}, the published network takes the largest dot product"]
    _load(state, model, sources, [*other_groups(model), *otherwise])
    return model


def _load(state: Mapping[str, Tensor], model: nn.Module, sources: dict[str, Source], otherwise: list[str]) -> None:
    ignored = _IGNORED
    if isinstance(state, Mapping) and any(str(name).startswith(_AVERAGE) for name in state):
        sources = {
            ours: Source(tuple(_AVERAGE + name.replace(".", "") for name in source.names))
            for ours, source in sources.items()
        }
        ignored = f"{_IGNORED}|{_NOT_AVERAGED}"
    load_strictly(model, state, sources, ignored, otherwise)


def _open_magvit2(model: LookupFreeTokenizer) -> Iterator[tuple[str, Source]]:
    encoder, decoder = model.encoder, model.decoder
    yield from layer("encoder.conv_in", "encoder.conv_in", bias=False).items()
    yield from layer("decoder.conv_in", "decoder.conv_in").items()
    for index, level in enumerate(encoder.levels):
        ours, theirs = f"encoder.levels.{index}", f"encoder.down.{index // 2}"
        if isinstance(level, nn.Conv2d):
            yield from layer(ours, f"{theirs}.downsample").items()
        else:
            yield from _blocks(ours, f"{theirs}.block", level)
    for index, level in enumerate(decoder.levels):
        place = len(decoder.levels) - 1 - index  # theirs are counted from full resolution
        yield from _blocks(f"decoder.levels.{index}", f"decoder.up.{place}.block", level)
        yield from layer(f"decoder.norms.{index}.gain", f"decoder.adaptive.{place}.gamma").items()
        yield from layer(f"decoder.norms.{index}.offset", f"decoder.adaptive.{place}.beta").items()
        if index < len(decoder.upsamplers):
            yield from layer(f"decoder.upsamplers.{index}.conv", f"decoder.up.{place}.upsample.conv1").items()
    for stack, module in (("encoder", encoder), ("decoder", decoder)):
        yield from _blocks(f"{stack}.middle", f"{stack}.mid_block", module.middle)
        for end in ("norm_out", "conv_out"):
            yield from layer(f"{stack}.{end}", f"{stack}.{end}").items()


def _blocks(ours: str, theirs: str, blocks: nn.Module) -> Iterator[tuple[str, Source]]:
    for index, block in enumerate(blocks.children()):
        yield from block_sources(f"{ours}.{index}", f"{theirs}.{index}", block)
