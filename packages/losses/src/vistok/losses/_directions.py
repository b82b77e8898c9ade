"""Unit vectors that stay finite, with finite gradients, for zero, tiny and huge input."""

import torch
from torch import Tensor

# Below this largest component a vector counts as zero: its direction is noise and 1 / norm would blow the gradient up.
SMALLEST_COMPONENT = 1e-30


def unit_directions(vectors: Tensor, *, dim: int) -> Tensor:
    """Return ``vectors`` divided by their norm along ``dim``; a zero vector stays zero and gets no gradient.

    Divides by the largest component first, so squares neither overflow nor vanish. A vector with a non-finite
    component becomes NaN.
    """
    largest = vectors.detach().abs().amax(dim=dim, keepdim=True)
    is_zero = largest < SMALLEST_COMPONENT
    scaled = torch.where(is_zero, 0.0, vectors / torch.where(is_zero, 1.0, largest))
    squared = scaled.square().sum(dim=dim, keepdim=True)
    return scaled / torch.where(is_zero, 1.0, squared).sqrt()
