"""Weights in the layout of TiTok's tokenizers."""

from collections.abc import Mapping
from math import isqrt

from torch import Tensor

from vistok.quantizers import VectorQuantizer
from vistok.tokenizers.one_dimensional import CodedPixels, PatchesAndTokens, PixelCodes, TiTok, TransformerSize
from vistok.tokenizers.published._autoencoder_names import other_groups
from vistok.tokenizers.published._maskgit_names import Dialect, decoder_sources, stack_sizes
from vistok.tokenizers.published._sizes import count, size
from vistok.tokenizers.published._strict_loading import Source, layer, load_strictly
from vistok.tokenizers.published._transformer_names import block_sources

_DIALECT = Dialect("block", "mid", finest_first=True)
_PIXEL_CODES = "pixel_quantize.embedding.weight"


def load_titok(state: Mapping[str, Tensor]) -> TiTok:
    """Build the network of a file of TiTok's authors and fill it.

    All sizes follow from the weights. What no shape shows follows from the kind of file, as the authors' settings have
    it: files with a second codebook for pixels (TiTok-L-32, B-64, S-128) have codes of unit length and
    ``mixed_features``, those without (BL-64, BL-128, SL-256) neither; heads have 64 channels.

    Args:
        state: The flat state dict.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, groups of normalisation; or the file has no codes (the continuous tokenizers, VAE).
        TypeError: ``state`` is no mapping.

    Example:
        >>> import torch
        >>> load_titok({"latent_tokens": torch.zeros(32, 1024)})
        Traceback (most recent call last):
        ValueError: checkpoint does not fit: expected quantize.embedding.weight to tell the network's size, got none
    """
    codebook = VectorQuantizer(
        size(state, "quantize.embedding.weight", 0),
        size(state, "quantize.embedding.weight", 1),
        metric="cosine" if _PIXEL_CODES in state else "euclidean",
        channel_dim=-1,
    )
    model = TiTok(
        codebook,
        size(state, "latent_tokens", 0),
        _transformer_size(state, "encoder"),
        _transformer_size(state, "decoder"),
        grid_size=isqrt(size(state, "encoder.positional_embedding", 0) - 1),
        patch_size=size(state, "encoder.patch_embed.weight", -1),
        pixels=_pixel_codes(state) if _PIXEL_CODES in state else None,
        mixed_features=_PIXEL_CODES in state,
    ).eval()
    load_strictly(model, state, _sources(model), ignored="", built_otherwise=[*other_groups(model)])
    return model


def _transformer_size(state: Mapping[str, Tensor], name: str) -> TransformerSize:
    return TransformerSize(size(state, f"{name}.class_embedding", 1), count(state, f"{name}.transformer"))


def _pixel_codes(state: Mapping[str, Tensor]) -> PixelCodes:
    codes = size(state, _PIXEL_CODES, 0), size(state, _PIXEL_CODES, 1)
    return PixelCodes(*codes, **stack_sizes(state, "pixel_decoder.up", _DIALECT))


def _sources(model: TiTok) -> dict[str, Source]:
    sources = {
        **layer("embed", "encoder.patch_embed"),
        "tokens": Source(("latent_tokens",)),
        **_transformer("encoder", model.encoder),
        **layer("to_code", "encoder.conv_out"),
        "quantizer.weight": Source(("quantize.embedding.weight",)),
        **layer("from_code", "decoder.decoder_embed"),
        "mask_token": Source(("decoder.mask_token",)),
        **_transformer("decoder", model.decoder),
    }
    if not isinstance(model.pixels, CodedPixels):
        return {
            **sources,
            **layer("pixels.to_patches", "decoder.ffn.0"),
            **layer("pixels.conv_out", "decoder.conv_out"),
        }
    return {
        **sources,
        **layer("pixels.to_logits.0", "decoder.ffn.0"),
        **layer("pixels.to_logits.2", "decoder.ffn.2"),
        "pixels.codebook": Source((_PIXEL_CODES,)),
        **decoder_sources("pixels.decoder", "pixel_decoder", model.pixels.decoder, _DIALECT),
    }


def _transformer(name: str, transformer: PatchesAndTokens) -> dict[str, Source]:
    return {
        f"{name}.class_token": Source((f"{name}.class_embedding",)),
        f"{name}.positions": Source((f"{name}.positional_embedding",)),
        f"{name}.token_positions": Source((f"{name}.latent_token_positional_embedding",)),
        **layer(f"{name}.norm_in", f"{name}.ln_pre"),
        **dict(block_sources(f"{name}.blocks", f"{name}.transformer", len(transformer.blocks))),
        **layer(f"{name}.norm_out", f"{name}.ln_post"),
    }
