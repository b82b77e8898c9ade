"""LlamaGen's published tokenizers as networks of this recipe, from the authors' files."""

from pathlib import Path

from vistok.tokenizers import load_llamagen_vq16
from vistok.workbench.backbones.weights import read_weights
from vqgan.config import TokenizerConfig
from vqgan.model import VQGAN


def llamagen_vq16(path: str | Path) -> VQGAN:
    """LlamaGen's tokenizer at stride 16 from its checkpoint."""
    return load_llamagen_vq16(read_weights(path), VQGAN(TokenizerConfig()).eval())


def llamagen_vq8(path: str | Path) -> VQGAN:
    """LlamaGen's tokenizer at stride 8 from its checkpoint."""
    return load_llamagen_vq16(read_weights(path), VQGAN(TokenizerConfig(multipliers=(1, 2, 2, 4))).eval())
