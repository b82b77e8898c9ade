"""Weights in the layout of FlowMo's tokenizers."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload

from torch import Tensor, nn

from vistok.tokenizers.flow_tokenizer import FlowTokenizer
from vistok.tokenizers.published._strict_loading import Source, layer, load_strictly

# Of what the networks never use: the encoder's time and all that depends on it, its images, the weight of its input of
# zeros, and the decoder's tokens.
_IGNORED = (
    r"encoder\.(time_in\..*|final_layer_img\..*|txt_in\.weight|final_layer_txt\.adaLN_modulation\..*"
    r"|double_blocks\.\d+\.(img|txt)_mod\..*)|decoder\.final_layer_txt\..*"
)
_BLOCK = {  # a stream of a block: here -> there
    "qkv": "attn.qkv",
    "proj": "attn.proj",
    "up": "mlp.0",
    "down": "mlp.2",
}
_GROUPS = {18: 2, 56: 4}  # tokens of a place in the published networks, by its bits: 9 and 14 bits a token
_ModelT = TypeVar("_ModelT", bound=nn.Module)


@overload
def load_flowmo(state: Mapping[str, Tensor], *, num_heads: int = 12) -> FlowTokenizer: ...
@overload
def load_flowmo(state: Mapping[str, Tensor], model: _ModelT, *, num_heads: int = 12) -> _ModelT: ...
def load_flowmo(state: Mapping[str, Tensor], model: Any = None, *, num_heads: int = 12) -> Any:
    """Load weights in the layout of FlowMo's tokenizers.

    Their attention divides by an eighth of a head's channels and not by the root: the gains of the queries' norms take
    up the difference.

    Args:
        state: The flat state dict: of the published file, its ``"model_ema_state_dict"`` entry.
        model: The network to fill, with the parts and names of a :class:`FlowTokenizer`; that of FlowMo-Lo if ``None``.
            FlowMo-Hi is ``FlowTokenizer(bits=56, num_groups=4)``.
        num_heads: Attention heads of the saved network.

    Returns:
        The model, in evaluation mode if it was made here.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, and what no shape shows: heads, and how many tokens a place's bits are. The model is unchanged then.
        TypeError: ``state`` is no mapping.

    Example:
        >>> from vistok.tokenizers import StackSize
        >>> small = FlowTokenizer(5, 6, encoder=StackSize(32, 1, 1), decoder=StackSize(32, 1, 1))
        >>> load_flowmo({"decoder.out.bias": small.decoder.out.bias}, small, num_heads=1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... entries: decoder.out.bias: no place in the model; ...
    """
    model = FlowTokenizer().eval() if model is None else model
    sources = {
        **layer("encoder.embed", "encoder.img_in"),
        "encoder.query": Source(("encoder.txt_in.bias",)),
        **dict(_blocks("encoder", {"first": "txt", "second": "img"}, model.encoder)),
        **layer("encoder.out", "encoder.final_layer_txt.linear"),
        **layer("decoder.embed", "decoder.img_in"),
        **layer("decoder.embed_codes", "decoder.txt_in"),
        **layer("decoder.time.hidden", "decoder.time_in.in_layer"),
        **layer("decoder.time.out", "decoder.time_in.out_layer"),
        **dict(_blocks("decoder", {"first": "img", "second": "txt"}, model.decoder)),
        **layer("decoder.modulation.proj", "decoder.final_layer_img.adaLN_modulation.1"),
        **layer("decoder.out", "decoder.final_layer_img.linear"),
    }
    load_strictly(model, state, sources, _IGNORED, list(_built_otherwise(model, num_heads)))
    return model


def _blocks(stack: str, streams: Mapping[str, str], part: nn.Module) -> Iterator[tuple[str, Source]]:
    blocks: Any = part.blocks
    scale = 8 / math.sqrt(part.head_dim)  # type: ignore[arg-type]
    for index in range(len(blocks)):
        for here, there in streams.items():
            ours, theirs = f"{stack}.blocks.{index}.{here}", f"{stack}.double_blocks.{index}.{there}"
            for name, other in _BLOCK.items():
                yield from layer(f"{ours}.{name}", f"{theirs}_{other}").items()
            yield f"{ours}.query_norm.weight", Source((f"{theirs}_attn.norm.query_norm.scale",), scale=scale)
            yield f"{ours}.key_norm.weight", Source((f"{theirs}_attn.norm.key_norm.scale",))
            if stack == "decoder":
                yield from layer(f"{ours}.modulation.proj", f"{theirs}_mod.lin").items()


def _built_otherwise(model: FlowTokenizer, num_heads: int) -> Iterator[str]:
    for name, part in (("encoder", model.encoder), ("decoder", model.decoder)):
        heads = part.embed.out_features // part.head_dim
        if heads != num_heads:
            yield f"{name}: {heads} heads, the saved network has {num_heads}"
    ours, theirs = model.quantizer.num_groups, _GROUPS.get(model.quantizer.bits)
    if theirs not in (None, ours):
        yield f"quantizer: {ours} tokens a place of {model.quantizer.bits} bits, the published network has {theirs}"
