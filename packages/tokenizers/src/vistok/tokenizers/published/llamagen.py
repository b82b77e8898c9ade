"""Weights in the layout of LlamaGen's tokenizers."""

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

from vistok.tokenizers.published._autoencoder_names import autoencoder_sources, other_groups
from vistok.tokenizers.published._strict_loading import Source, layer, load_strictly

_IGNORED = r"quantize\.codebook_used"  # recent indices: for training only
_ModelT = TypeVar("_ModelT", bound=nn.Module)


def load_llamagen_vq16(state: Mapping[str, Tensor], model: _ModelT) -> _ModelT:
    """Load weights in the layout of LlamaGen's VQ tokenizers, VQ-16 and VQ-8.

    Args:
        state: The flat state dict: of the published file, its ``"model"`` entry.
        model: The network to fill, of the parts ``encoder`` and ``decoder`` (:class:`Encoder`, :class:`Decoder`),
            ``head`` (an :class:`Adapter` of depth 0 to the code), ``quantizer`` (a ``VectorQuantizer`` of unit-length
            codes) and ``post_quantization`` (a 1x1 convolution), as the recipe VQGAN builds it.

    Returns:
        The model.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, and what no shape shows: groups of normalisation, and codes that are not of unit length. The model is
            unchanged then.
        TypeError: ``state`` is no mapping.

    Example:
        >>> from vistok.quantizers import VectorQuantizer
        >>> from vistok.tokenizers import Adapter, Decoder, Encoder
        >>> small = nn.Module()
        >>> small.encoder, small.decoder = Encoder(3, 128, (1, 1), 1), Decoder(8, 3, 128, (1, 1), 1)
        >>> small.head = Adapter(128, 8, 4, grid_size=1, depth=0, num_heads=1)
        >>> small.quantizer, small.post_quantization = VectorQuantizer(16, 4), nn.Conv2d(4, 8, 1)
        >>> load_llamagen_vq16({"decoder.conv_up.bias": small.decoder.conv_out.bias}, small)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... entries: decoder.conv_up.bias: no place in the model; ...
    """
    parts: Any = model
    sources = {
        **autoencoder_sources(parts.encoder, parts.decoder),
        **layer("head.norm", "encoder.norm_out"),
        **layer("head.conv", "encoder.conv_out"),
        **layer("head.to_code", "quant_conv"),
        "quantizer.weight": Source(("quantize.embedding.weight",)),
        **layer("post_quantization", "post_quant_conv"),
    }
    metric = getattr(parts.quantizer, "metric", None)
    otherwise = [] if metric == "cosine" else [f"quantizer: metric {metric}, the published network has cosine"]
    load_strictly(model, state, sources, _IGNORED, [*other_groups(model), *otherwise])
    return model
