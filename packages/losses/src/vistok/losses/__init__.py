"""Losses for image tokenizers, each a pure function and a thin module."""

from vistok.losses.adaptive_weight import adaptive_weight
from vistok.losses.adversarial import DiscriminatorLoss, GeneratorLoss, discriminator_loss, generator_loss
from vistok.losses.alexnet import AlexNetFeatures
from vistok.losses.alignment import (
    PatchAlignmentLoss,
    PooledAlignmentLoss,
    patch_alignment_loss,
    pooled_alignment_loss,
)
from vistok.losses.bit_entropy import (
    BinarySphericalEntropyLoss,
    LookupFreeEntropyLoss,
    binary_spherical_entropy_loss,
    bit_entropy_terms,
    lookup_free_entropy_loss,
)
from vistok.losses.chroma import ChromaLoss, chroma_loss
from vistok.losses.contrastive import ContrastiveLoss, contrastive_loss
from vistok.losses.disentanglement import DisentanglementLoss, disentanglement_loss
from vistok.losses.entropy import EntropyTerms, VectorEntropyLoss, vector_entropy_loss, vector_entropy_terms
from vistok.losses.feature_discriminator import FeatureDiscriminator
from vistok.losses.gradient_penalty import R1Penalty, r1_penalty
from vistok.losses.histogram_relation import HistogramRelationLoss, histogram_relation_loss, relation_histogram
from vistok.losses.lecam import LeCamLoss, lecam_loss
from vistok.losses.lpips import LPIPS, lpips_distance, lpips_heads
from vistok.losses.patchgan import PatchGANDiscriminator
from vistok.losses.perceptual import PerceptualLoss, perceptual_loss
from vistok.losses.quantization import CodebookCommitmentLoss, codebook_commitment_loss
from vistok.losses.reconstruction import ReconstructionLoss, reconstruction_loss
from vistok.losses.residual import ResidualLoss, residual_loss
from vistok.losses.vgg import VGG16Features

__all__ = [
    "LPIPS",
    "AlexNetFeatures",
    "BinarySphericalEntropyLoss",
    "ChromaLoss",
    "CodebookCommitmentLoss",
    "ContrastiveLoss",
    "DiscriminatorLoss",
    "DisentanglementLoss",
    "EntropyTerms",
    "FeatureDiscriminator",
    "GeneratorLoss",
    "HistogramRelationLoss",
    "LeCamLoss",
    "LookupFreeEntropyLoss",
    "PatchAlignmentLoss",
    "PatchGANDiscriminator",
    "PerceptualLoss",
    "PooledAlignmentLoss",
    "R1Penalty",
    "ReconstructionLoss",
    "ResidualLoss",
    "VGG16Features",
    "VectorEntropyLoss",
    "adaptive_weight",
    "binary_spherical_entropy_loss",
    "bit_entropy_terms",
    "chroma_loss",
    "codebook_commitment_loss",
    "contrastive_loss",
    "discriminator_loss",
    "disentanglement_loss",
    "generator_loss",
    "histogram_relation_loss",
    "lecam_loss",
    "lookup_free_entropy_loss",
    "lpips_distance",
    "lpips_heads",
    "patch_alignment_loss",
    "perceptual_loss",
    "pooled_alignment_loss",
    "r1_penalty",
    "reconstruction_loss",
    "relation_histogram",
    "residual_loss",
    "vector_entropy_loss",
    "vector_entropy_terms",
]
