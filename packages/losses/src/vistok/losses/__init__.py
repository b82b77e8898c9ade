"""Losses for image tokenizers, each a pure function and a thin module."""

from vistok.losses.adaptive_weight import adaptive_weight
from vistok.losses.adversarial import DiscriminatorLoss, GeneratorLoss, discriminator_loss, generator_loss
from vistok.losses.disentanglement import DisentanglementLoss, disentanglement_loss
from vistok.losses.histogram_relation import HistogramRelationLoss, histogram_relation_loss, relation_histogram
from vistok.losses.patchgan import PatchGANDiscriminator
from vistok.losses.perceptual import PerceptualLoss, perceptual_loss
from vistok.losses.quantization import CodebookCommitmentLoss, codebook_commitment_loss
from vistok.losses.reconstruction import ReconstructionLoss, reconstruction_loss
from vistok.losses.residual import ResidualLoss, residual_loss

__all__ = [
    "CodebookCommitmentLoss",
    "DiscriminatorLoss",
    "DisentanglementLoss",
    "GeneratorLoss",
    "HistogramRelationLoss",
    "PatchGANDiscriminator",
    "PerceptualLoss",
    "ReconstructionLoss",
    "ResidualLoss",
    "adaptive_weight",
    "codebook_commitment_loss",
    "discriminator_loss",
    "disentanglement_loss",
    "generator_loss",
    "histogram_relation_loss",
    "perceptual_loss",
    "reconstruction_loss",
    "relation_histogram",
    "residual_loss",
]
