"""Weights in the layout of LlamaGen's tokenizers."""

from collections.abc import Mapping

from torch import Tensor

from vistok.tokenizers.published._autoencoder_names import autoencoder_sources, other_groups
from vistok.tokenizers.published._strict_loading import Source, layer, load_strictly
from vistok.tokenizers.single_codebook import SingleCodebookTokenizer

_IGNORED = r"quantize\.codebook_used"  # recent indices: for training only


def load_llamagen_vq16(
    state: Mapping[str, Tensor], model: SingleCodebookTokenizer | None = None
) -> SingleCodebookTokenizer:
    """Load weights in the layout of LlamaGen's VQ tokenizers.

    Args:
        state: The flat state dict: of the published file, its ``"model"`` entry.
        model: The network to fill; VQ-16 if ``None``. VQ-8 is ``SingleCodebookTokenizer(multipliers=(1, 2, 2, 4))``.

    Returns:
        The model, in evaluation mode if it was made here.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, and groups of normalisation, which no shape shows. The model is unchanged then.
        TypeError: ``state`` is no mapping.

    Example:
        >>> small = SingleCodebookTokenizer(16, multipliers=(1, 1), num_blocks=1, latent_channels=8)
        >>> load_llamagen_vq16({"decoder.conv_up.bias": small.decoder.conv_out.bias}, small)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... entries: decoder.conv_up.bias: no place in the model; ...
    """
    model = SingleCodebookTokenizer().eval() if model is None else model
    sources = {
        **autoencoder_sources(model.encoder, model.decoder),
        **layer("head.norm", "encoder.norm_out"),
        **layer("head.conv", "encoder.conv_out"),
        **layer("head.to_code", "quant_conv"),
        "quantizer.weight": Source(("quantize.embedding.weight",)),
        **layer("post_quantization", "post_quant_conv"),
    }
    load_strictly(model, state, sources, _IGNORED, list(other_groups(model)))
    return model
