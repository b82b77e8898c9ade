"""Published tokenizers of one codebook or of bits, from their authors' files: what VQGAN is measured against."""

from pathlib import Path

from vistok.tokenizers import (
    LookupFreeTokenizer,
    VQGANPlus,
    load_ibq,
    load_llamagen_vq16,
    load_maskbit_tokenizer,
    load_open_magvit2,
)
from vistok.workbench.backbones.published import read_published
from vqgan.config import TokenizerConfig
from vqgan.model import VQGAN


def llamagen_vq16(name: str | Path) -> VQGAN:
    """LlamaGen's tokenizer at stride 16 from its file, its folder or the hub."""
    return load_llamagen_vq16(read_published(name), VQGAN(TokenizerConfig()).eval())


def llamagen_vq8(name: str | Path) -> VQGAN:
    """LlamaGen's tokenizer at stride 8 from its file, its folder or the hub."""
    return load_llamagen_vq16(read_published(name), VQGAN(TokenizerConfig(multipliers=(1, 2, 2, 4))).eval())


def ibq(name: str | Path) -> VQGAN:
    """IBQ's tokenizer at stride 16 from its file, its folder or the hub; the weights show the size of the codebook."""
    weights = read_published(name)
    codes = weights.get("quantize.embedding.weight")
    quantizer = {"kind": "ibq", "code_dim": 256, "codebook_size": 16384 if codes is None else len(codes)}
    return load_ibq(weights, VQGAN(TokenizerConfig.model_validate({"num_blocks": 4, "quantizer": quantizer})).eval())


def open_magvit2(name: str | Path) -> LookupFreeTokenizer:
    """Open-MAGVIT2's tokenizer from its file, its folder or the hub; the weights show bits and stride, 8 or 16."""
    weights = read_published(name)
    bits = weights.get("encoder.conv_out.bias")
    multipliers = (1, 1, 2, 2, 4) if any(key.startswith("encoder.down.4.") for key in weights) else (1, 2, 2, 4)
    return load_open_magvit2(
        weights, LookupFreeTokenizer(18 if bits is None else len(bits), multipliers=multipliers).eval()
    )


def maskbit(name: str | Path) -> VQGANPlus:
    """MaskBit's tokenizer of any number of bits, or VQGAN+, from its file, its folder or the hub."""
    return load_maskbit_tokenizer(read_published(name))
