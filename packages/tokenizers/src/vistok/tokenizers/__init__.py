"""Networks of image tokenizers, and the weights that their authors published."""

from vistok.tokenizers.adapter import Adapter
from vistok.tokenizers.autoencoder import Decoder, Encoder, to_channels_last
from vistok.tokenizers.dual_codebook import DualCodebookTokenizer, DualTokens
from vistok.tokenizers.flow_tokenizer import FlowSampling, FlowTokenizer, StackSize
from vistok.tokenizers.lookup_free_tokenizer import LookupFreeTokenizer
from vistok.tokenizers.one_dimensional import PixelCodes, TiTok, TransformerSize
from vistok.tokenizers.patches import PatchPositions, patchify, unpatchify
from vistok.tokenizers.published.flowmo import load_flowmo
from vistok.tokenizers.published.fqgan import load_fqgan_dual
from vistok.tokenizers.published.llamagen import load_llamagen_vq16
from vistok.tokenizers.published.maskbit import load_maskbit_tokenizer
from vistok.tokenizers.published.seed_voken import load_ibq, load_open_magvit2
from vistok.tokenizers.published.titok import load_titok
from vistok.tokenizers.query_encoder import QueryEncoded, QueryEncoder
from vistok.tokenizers.vqgan_plus import VQGANPlus

__all__ = [
    "Adapter",
    "Decoder",
    "DualCodebookTokenizer",
    "DualTokens",
    "Encoder",
    "FlowSampling",
    "FlowTokenizer",
    "LookupFreeTokenizer",
    "PatchPositions",
    "PixelCodes",
    "QueryEncoded",
    "QueryEncoder",
    "StackSize",
    "TiTok",
    "TransformerSize",
    "VQGANPlus",
    "load_flowmo",
    "load_fqgan_dual",
    "load_ibq",
    "load_llamagen_vq16",
    "load_maskbit_tokenizer",
    "load_open_magvit2",
    "load_titok",
    "patchify",
    "to_channels_last",
    "unpatchify",
]
