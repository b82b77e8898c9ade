"""Quantizers for image tokenizers behind one return type."""

from vistok.quantizers.binary_spherical import BinarySphericalQuantizer
from vistok.quantizers.dual import DualQuantized, DualQuantizer
from vistok.quantizers.finite_scalar import FiniteScalarQuantizer
from vistok.quantizers.index_backpropagation import IndexBackpropagationQuantizer
from vistok.quantizers.k_means import k_means
from vistok.quantizers.lookup_free import LookupFreeQuantizer
from vistok.quantizers.nearest import nearest_codes
from vistok.quantizers.projected import ProjectedVectorQuantizer
from vistok.quantizers.quantized import Quantized, straight_through
from vistok.quantizers.residual_recovery import ResidualRecovery
from vistok.quantizers.residual_vector import ResidualVectorQuantizer
from vistok.quantizers.rotation import rotation_trick
from vistok.quantizers.usage import CodebookUsage, UsageReport
from vistok.quantizers.vector import VectorQuantizer

__all__ = [
    "BinarySphericalQuantizer",
    "CodebookUsage",
    "DualQuantized",
    "DualQuantizer",
    "FiniteScalarQuantizer",
    "IndexBackpropagationQuantizer",
    "LookupFreeQuantizer",
    "ProjectedVectorQuantizer",
    "Quantized",
    "ResidualRecovery",
    "ResidualVectorQuantizer",
    "UsageReport",
    "VectorQuantizer",
    "k_means",
    "nearest_codes",
    "rotation_trick",
    "straight_through",
]
