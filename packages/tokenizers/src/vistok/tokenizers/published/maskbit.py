"""Weights in the layout of MaskBit's tokenizers and of VQGAN+."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from vistok.quantizers import LookupFreeQuantizer, VectorQuantizer
from vistok.tokenizers.published._autoencoder_names import other_groups
from vistok.tokenizers.published._maskgit_names import Dialect, decoder_sources, encoder_sources, stack_sizes
from vistok.tokenizers.published._sizes import size
from vistok.tokenizers.published._strict_loading import Source, load_strictly
from vistok.tokenizers.vqgan_plus import VQGANPlus

_CODEBOOK = "quantize.embedding.weight"
_BITS = ("quantize.bits_to_indices", "quantize.codebook")  # constants of the published quantizer, which are compared


def load_maskbit_tokenizer(state: Mapping[str, Tensor]) -> VQGANPlus:
    """Build the network of a file of MaskBit's authors, a MaskBit tokenizer or VQGAN+, and fill it.

    All sizes follow from the weights. Files without a codebook are MaskBit's, of bits; those with one are VQGAN+'s,
    whose codes are compared by distance. Files of the authors' older decoder, whose levels are named in reverse, are
    told apart and load too.

    Args:
        state: The flat state dict.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, groups of normalisation, bits in another order.
        TypeError: ``state`` is no mapping.

    Example:
        >>> load_maskbit_tokenizer({"encoder.conv_in.bias": torch.zeros(128)})
        Traceback (most recent call last):
        ValueError: checkpoint does not fit: expected encoder.conv_out.weight to tell the network's size, got none
    """
    code_dim = size(state, "encoder.conv_out.weight", 0)
    quantizer = (
        VectorQuantizer(size(state, _CODEBOOK, 0), code_dim, metric="euclidean")
        if _CODEBOOK in state
        else LookupFreeQuantizer(code_dim, lowest_bit_first=True)
    )
    dialect = Dialect("res_blocks", "mid.res_blocks", finest_first="decoder.up.0.upsample_conv.weight" not in state)
    model = VQGANPlus(quantizer, code_dim, **stack_sizes(state, "encoder.down", dialect)).eval()
    sources = {
        **encoder_sources("encoder", "encoder", model.encoder, dialect),
        **decoder_sources("decoder", "decoder", model.decoder, dialect),
    }
    otherwise = [*other_groups(model)]
    if isinstance(quantizer, VectorQuantizer):
        sources["quantizer.weight"] = Source((_CODEBOOK,))
        load_strictly(model, state, sources, "", otherwise)
    else:
        otherwise += _other_bits(state, quantizer)
        load_strictly(model, state, sources, "|".join(_BITS), otherwise)
    return model


def _other_bits(state: Mapping[str, Tensor], quantizer: LookupFreeQuantizer) -> Iterator[str]:
    """What the constants of the saved quantizer have otherwise than ours; on the meta device there are no values."""
    codes = torch.arange(quantizer.codebook_size)
    for name, ours in zip(_BITS, (2 ** torch.arange(quantizer.bits), codes), strict=True):
        theirs = state.get(name)
        if not isinstance(theirs, Tensor):
            yield f"{name}: not in the checkpoint"
        elif not theirs.is_meta:
            found = theirs if name == _BITS[0] else quantizer.codes_to_indices(theirs)
            if not torch.equal(found.long(), ours):
                yield f"{name}: the lowest bit is not the first channel"
