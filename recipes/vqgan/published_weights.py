"""Published tokenizers of one codebook, from their authors' files: what VQGAN is measured against."""

from pathlib import Path

from vistok.tokenizers import LookupFreeTokenizer, load_ibq, load_llamagen_vq16, load_open_magvit2
from vistok.workbench.backbones.weights import read_weights
from vqgan.config import TokenizerConfig
from vqgan.model import VQGAN


def llamagen_vq16(path: str | Path) -> VQGAN:
    """LlamaGen's tokenizer at stride 16 from its checkpoint."""
    return load_llamagen_vq16(read_weights(path), VQGAN(TokenizerConfig()).eval())


def llamagen_vq8(path: str | Path) -> VQGAN:
    """LlamaGen's tokenizer at stride 8 from its checkpoint."""
    return load_llamagen_vq16(read_weights(path), VQGAN(TokenizerConfig(multipliers=(1, 2, 2, 4))).eval())


def ibq(path: str | Path) -> VQGAN:
    """IBQ's tokenizer at stride 16 from its checkpoint, which shows the size of the codebook."""
    weights = read_weights(path)
    codes = weights.get("quantize.embedding.weight")
    quantizer = {"kind": "ibq", "code_dim": 256, "codebook_size": 16384 if codes is None else len(codes)}
    return load_ibq(weights, VQGAN(TokenizerConfig.model_validate({"num_blocks": 4, "quantizer": quantizer})).eval())


def open_magvit2(path: str | Path) -> LookupFreeTokenizer:
    """Open-MAGVIT2's tokenizer from its checkpoint, which shows the bits of a token and the stride, 8 or 16."""
    weights = read_weights(path)
    bits = weights.get("encoder.conv_out.bias")
    multipliers = (1, 1, 2, 2, 4) if any(name.startswith("encoder.down.4.") for name in weights) else (1, 2, 2, 4)
    return load_open_magvit2(
        weights, LookupFreeTokenizer(18 if bits is None else len(bits), multipliers=multipliers).eval()
    )
