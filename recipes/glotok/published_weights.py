"""The published tokenizer of two codebooks, from its authors' file: what GloTok is measured against."""

from pathlib import Path

from vistok.tokenizers import DualCodebookTokenizer, load_fqgan_dual
from vistok.workbench.backbones.published import read_published


def fqgan_dual(name: str | Path) -> DualCodebookTokenizer:
    """FQGAN's tokenizer of two codebooks from its file, its folder or the hub."""
    return load_fqgan_dual(read_published(name))
