"""Quantizers for image tokenizers behind one return type."""

from vistok.quantizers.dual import DualQuantized, DualQuantizer
from vistok.quantizers.k_means import k_means
from vistok.quantizers.nearest import nearest_codes
from vistok.quantizers.quantized import Quantized, straight_through
from vistok.quantizers.residual_recovery import ResidualRecovery
from vistok.quantizers.usage import CodebookUsage, UsageReport
from vistok.quantizers.vector import VectorQuantizer

__all__ = [
    "CodebookUsage",
    "DualQuantized",
    "DualQuantizer",
    "Quantized",
    "ResidualRecovery",
    "UsageReport",
    "VectorQuantizer",
    "k_means",
    "nearest_codes",
    "straight_through",
]
