"""Networks of image tokenizers, and the weights that their authors published."""

from vistok.tokenizers.adapter import Adapter
from vistok.tokenizers.autoencoder import Decoder, Encoder, to_channels_last
from vistok.tokenizers.dual_codebook import DualCodebookTokenizer, DualTokens
from vistok.tokenizers.patches import PatchPositions, patchify, unpatchify
from vistok.tokenizers.published.fqgan import load_fqgan_dual
from vistok.tokenizers.published.llamagen import load_llamagen_vq16
from vistok.tokenizers.query_encoder import QueryEncoded, QueryEncoder

__all__ = [
    "Adapter",
    "Decoder",
    "DualCodebookTokenizer",
    "DualTokens",
    "Encoder",
    "PatchPositions",
    "QueryEncoded",
    "QueryEncoder",
    "load_fqgan_dual",
    "load_llamagen_vq16",
    "patchify",
    "to_channels_last",
    "unpatchify",
]
