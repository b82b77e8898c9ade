"""Published tokenizers of one and of two codebooks, from their authors' files: what GloTok is measured against."""

from pathlib import Path

from vistok.tokenizers import DualCodebookTokenizer, SingleCodebookTokenizer, load_fqgan_dual, load_llamagen_vq16
from vistok.workbench.backbones.weights import read_weights


def llamagen_vq16(path: str | Path) -> SingleCodebookTokenizer:
    """LlamaGen's tokenizer at stride 16 from its checkpoint."""
    return load_llamagen_vq16(read_weights(path))


def llamagen_vq8(path: str | Path) -> SingleCodebookTokenizer:
    """LlamaGen's tokenizer at stride 8 from its checkpoint."""
    return load_llamagen_vq16(read_weights(path), SingleCodebookTokenizer(multipliers=(1, 2, 2, 4)).eval())


def fqgan_dual(path: str | Path) -> DualCodebookTokenizer:
    """FQGAN's tokenizer of two codebooks from its checkpoint."""
    return load_fqgan_dual(read_weights(path))
