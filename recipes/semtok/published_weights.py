"""The published tokenizers of sequences, from their authors' files: what SemTok is measured against."""

from pathlib import Path

from vistok.tokenizers import FlowTokenizer, TiTok, load_flowmo, load_titok
from vistok.workbench.backbones.published import read_published

_AVERAGE = "model_ema_state_dict"  # of FlowMo's two entries the one that its authors evaluate


def titok(name: str | Path) -> TiTok:
    """TiTok's tokenizer of any published size from its file, its folder or the hub."""
    return load_titok(read_published(name))


def flowmo_lo(name: str | Path) -> FlowTokenizer:
    """FlowMo-Lo, 256 places of two tokens of 9 bits, from its file, its folder or the hub."""
    return load_flowmo(read_published(name, _AVERAGE))


def flowmo_hi(name: str | Path) -> FlowTokenizer:
    """FlowMo-Hi, 256 places of four tokens of 14 bits, from its file, its folder or the hub."""
    return load_flowmo(read_published(name, _AVERAGE), FlowTokenizer(bits=56, num_groups=4).eval())
