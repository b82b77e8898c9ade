"""A small quantizer of each kind, by a name."""

import torch

from vistok.quantizers import (
    BinarySphericalQuantizer,
    FiniteScalarQuantizer,
    IndexBackpropagationQuantizer,
    LookupFreeQuantizer,
    ProjectedVectorQuantizer,
    ResidualVectorQuantizer,
    VectorQuantizer,
)

CHANNELS = 6


def build(name, channel_dim=1, seed=0):
    """The quantizer of that name; the names themselves for none."""
    g = torch.Generator().manual_seed(seed)
    kwargs = {"channel_dim": channel_dim}
    learned = {**kwargs, "generator": g}
    makers = {
        "cosine": lambda: VectorQuantizer(20, CHANNELS, **learned),
        "euclidean": lambda: VectorQuantizer(20, CHANNELS, metric="euclidean", **learned),
        "ema": lambda: VectorQuantizer(20, CHANNELS, learning="ema", **learned),
        "binary spherical": lambda: BinarySphericalQuantizer(CHANNELS, **kwargs),
        "binary spherical groups": lambda: BinarySphericalQuantizer(CHANNELS, num_groups=3, **kwargs),
        "index backpropagation": lambda: IndexBackpropagationQuantizer(20, CHANNELS, **learned),
        "projected": lambda: ProjectedVectorQuantizer(20, CHANNELS, **learned),
        "finite scalar": lambda: FiniteScalarQuantizer([3, 4, 5, 6, 7, 8], **kwargs),
        "lookup free": lambda: LookupFreeQuantizer(CHANNELS, **kwargs),
        "lookup free groups": lambda: LookupFreeQuantizer(CHANNELS, num_groups=2, **kwargs),
        "residual": lambda: ResidualVectorQuantizer(20, CHANNELS, num_stages=3, **learned),
    }
    return makers[name]() if name else list(makers)


NAMES = build(None)
