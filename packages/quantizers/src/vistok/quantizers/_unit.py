"""Unit-length vectors, safe at zero."""

import torch
from torch import Tensor

SMALLEST_LENGTH = 1e-8


def unit(x: Tensor) -> Tensor:
    """Divide by the length along the last dimension; the zero vector stays zero and its gradient stays finite."""
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.clamp_min(SMALLEST_LENGTH)
