"""Masked generators at published sizes."""

from vistok.generators.masked_ar import MaskedAR
from vistok.generators.masked_ar_options import MaskedAROptions
from vistok.generators.masked_tokens import BitTokens

PUBLISHED_MASKBIT = MaskedAROptions(
    schedule="arccos", independent_masks=True, unmasked_weight=1.0, dropout=0.1, post_norm=True
)


def maskbit(num_bits: int = 14, *, num_classes: int = 1000, options: MaskedAROptions = PUBLISHED_MASKBIT) -> MaskedAR:
    """MaskBit, a :class:`MaskedAR` with 305M parameters: 256 tokens of bits in two groups.

    Our class token stands first, theirs last; with learned positions that is only a renaming.

    Source:
        MaskBit (arXiv:2409.16211), Section 4.1.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     model = maskbit()
        >>> sum(p.numel() for p in model.parameters()) // 10**6
        304
    """
    tokens = BitTokens(num_bits, 2)
    return MaskedAR(tokens, 256, num_classes, width=1024, depth=24, num_heads=16, options=options)
