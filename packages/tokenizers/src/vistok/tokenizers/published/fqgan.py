"""Weights in the layout of FQGAN's dual tokenizer."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload

from torch import Tensor, nn

from vistok.tokenizers.adapter import Adapter, TransformerBlock
from vistok.tokenizers.dual_codebook import DualCodebookTokenizer
from vistok.tokenizers.published._autoencoder_names import autoencoder_sources, other_groups
from vistok.tokenizers.published._strict_loading import Source, layer, load_strictly
from vistok.tokenizers.published._transformer_names import block_sources

# For training only: recent indices, and the head that predicts CLIP features.
_IGNORED = r"quantize_(sem|vis)\.codebook_used|feat_pred_head\..*"
_HEADS = 8  # of every published adapter; its weights do not show it
_ModelT = TypeVar("_ModelT", bound=nn.Module)


@overload
def load_fqgan_dual(state: Mapping[str, Tensor]) -> DualCodebookTokenizer: ...
@overload
def load_fqgan_dual(state: Mapping[str, Tensor], model: _ModelT) -> _ModelT: ...
def load_fqgan_dual(state: Mapping[str, Tensor], model: Any = None) -> Any:
    """Load weights in the layout of FQGAN's dual tokenizer.

    Args:
        state: The flat state dict: of the published file, its ``"model"`` entry.
        model: The network to fill, with the parts and names of a :class:`DualCodebookTokenizer`; that of stride 16 if
            ``None``. Stride 8 is ``DualCodebookTokenizer(multipliers=(1, 2, 2, 4), grid_size=32)``.

    Returns:
        The model, in evaluation mode if it was made here.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, and groups of normalisation and attention heads, which no shape shows. The model is unchanged then.
        TypeError: ``state`` is no mapping.

    Example:
        >>> sizes = {"multipliers": (1, 1), "num_blocks": 1, "latent_channels": 8, "adapter_depth": 1}
        >>> small = DualCodebookTokenizer((16, 16), **sizes)
        >>> load_fqgan_dual({"quant_conv.bias": small.decoder.conv_out.bias}, small)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... entries: quant_conv.bias: no place in the model; ...
    """
    model = DualCodebookTokenizer().eval() if model is None else model
    sources = {
        **autoencoder_sources(model.encoder, model.decoder),
        **dict(_adapter("semantic", "sem", model.semantic_adapter)),
        **dict(_adapter("visual", "vis", model.visual_adapter)),
        "quantizer.semantic.weight": Source(("quantize_sem.embedding.weight",)),
        "quantizer.visual.weight": Source(("quantize_vis.embedding.weight",)),
        **layer("post_quantization", "post_quant_conv"),
    }
    load_strictly(model, state, sources, _IGNORED, [*other_groups(model), *_other_heads(model)])
    return model


def _adapter(branch: str, short: str, adapter: Adapter) -> Iterator[tuple[str, Source]]:
    ours, theirs = f"{branch}_adapter", f"encoder.{branch}_head.0"
    if adapter.depth:
        yield f"{ours}.positions", Source((f"{theirs}.positional_embedding",), rows=True)
        yield from layer(f"{ours}.norm_in", f"{theirs}.ln_pre").items()
        yield from layer(f"{ours}.norm_out", f"{theirs}.ln_post").items()
    yield from block_sources(f"{ours}.blocks", f"{theirs}.transformer", adapter.depth)
    yield from layer(f"{ours}.norm", f"encoder.norm_out_{short}").items()
    yield from layer(f"{ours}.conv", f"encoder.conv_out_{short}").items()
    yield from layer(f"{ours}.to_code", f"quant_conv_{short}").items()


def _other_heads(model: nn.Module) -> Iterator[str]:
    for name, module in model.named_modules():
        if isinstance(module, TransformerBlock) and module.num_heads != _HEADS:
            yield f"{name}: {module.num_heads} heads, the published network has {_HEADS}"
