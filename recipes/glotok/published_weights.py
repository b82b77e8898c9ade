"""The published tokenizer of two codebooks, from its authors' file: what GloTok is measured against."""

from pathlib import Path

from vistok.tokenizers import DualCodebookTokenizer, load_fqgan_dual
from vistok.workbench.backbones.weights import read_weights


def fqgan_dual(path: str | Path) -> DualCodebookTokenizer:
    """FQGAN's tokenizer of two codebooks from its checkpoint."""
    return load_fqgan_dual(read_weights(path))
