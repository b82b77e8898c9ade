"""FlowMo's published tokenizers, from their authors' files: what SemTok is measured against."""

from pathlib import Path

from vistok.tokenizers import FlowTokenizer, load_flowmo
from vistok.workbench.backbones.weights import read_weights

_AVERAGE = "model_ema_state_dict"  # of the file's two entries the one that the authors evaluate


def flowmo_lo(path: str | Path) -> FlowTokenizer:
    """FlowMo-Lo, 256 places of two tokens of 9 bits, from its checkpoint."""
    return load_flowmo(read_weights(path, _AVERAGE))


def flowmo_hi(path: str | Path) -> FlowTokenizer:
    """FlowMo-Hi, 256 places of four tokens of 14 bits, from its checkpoint."""
    return load_flowmo(read_weights(path, _AVERAGE), FlowTokenizer(bits=56, num_groups=4).eval())
