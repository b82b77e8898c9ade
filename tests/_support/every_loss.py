"""Each loss as a function of one tensor ``(3, 4)``, on whatever device that is."""

import torch

import vistok.losses as losses
from _support.strategies import normal

OTHER, FIRST = normal(1, 3, 4), normal(0, 3, 4)
LOSSES = {
    "codebook_commitment": lambda x: losses.codebook_commitment_loss(x, OTHER.to(x)),
    "residual": lambda x: losses.residual_loss(OTHER.to(x), x, 0.5 * x),
    "residual_norm": lambda x: losses.residual_loss(OTHER.to(x), x, 0.5 * x, norm="norm"),
    "l2": lambda x: losses.reconstruction_loss(x, OTHER.to(x)),
    "l1": lambda x: losses.reconstruction_loss(x, OTHER.to(x), kind="l1"),
    "charbonnier": lambda x: losses.reconstruction_loss(x, OTHER.to(x), kind="charbonnier"),
    "chroma": lambda x: losses.chroma_loss(x.T, OTHER.to(x).T),
    "disentanglement": lambda x: losses.disentanglement_loss(x, OTHER.to(x)),
    "patch_alignment": lambda x: losses.patch_alignment_loss(x, OTHER.to(x)),
    "pooled_alignment": lambda x: losses.pooled_alignment_loss(x, OTHER.to(x)),
    "contrastive": lambda x: losses.contrastive_loss(x, OTHER.to(x), temperature=0.5),
    "perceptual": lambda x: losses.perceptual_loss([x], [OTHER.to(x)]),
    "lpips": lambda x: losses.lpips_distance([x], [OTHER.to(x)], [torch.ones(4).to(x)]).mean(),
    "discriminator": lambda x: losses.discriminator_loss(x, 0.5 * x, kind="vanilla"),
    "hinge": lambda x: losses.discriminator_loss(x, 0.5 * x),
    "generator": lambda x: losses.generator_loss(x, kind="non_saturating"),
    "lecam": lambda x: losses.lecam_loss(x, -x, torch.tensor(0.1), torch.tensor(0.2)),
    "vector_entropy": lambda x: losses.vector_entropy_loss(x, OTHER.to(x), temperature=1.0),
    "lookup_free_entropy": lambda x: losses.lookup_free_entropy_loss(x, temperature=3.0),
    "binary_spherical_entropy": lambda x: losses.binary_spherical_entropy_loss(x, temperature=1.0),
    "histogram_relation": lambda x: losses.histogram_relation_loss(x, OTHER.to(x), bins=9, alpha=9.0),
}
