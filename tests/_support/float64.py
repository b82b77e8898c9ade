"""Arithmetic in float64 that shares no code with the packages, for re-derivations."""

import torch
from torch import Tensor


def close(got: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> bool:
    """Whether all values agree, relative and absolute."""
    return torch.allclose(got.double(), wanted.double(), rtol=tolerance, atol=tolerance)


def unit64(x: Tensor, dim: int = -1) -> Tensor:
    return x.double() / x.double().square().sum(dim, keepdim=True).sqrt()


def distances64(rows: Tensor, codebook: Tensor, metric: str) -> Tensor:
    """Tokens x codes; smaller is nearer."""
    if metric == "cosine":
        return -rows.double() @ unit64(codebook).t()
    if metric == "dot":
        return -rows.double() @ codebook.double().t()
    return (rows.double().unsqueeze(1) - codebook.double()).square().sum(2)


def entropies64(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """Mean entropy of the rows, and entropy of their mean."""
    sample = -(probabilities * probabilities.clamp_min(1e-300).log()).sum(1).mean()
    mean = probabilities.mean(0)
    return sample, -(mean * mean.clamp_min(1e-300).log()).sum()


def pair_log_sums64(codes: Tensor, centres: Tensor, alpha: float, include_diagonal: bool = False) -> Tensor:
    """log sum exp(-alpha (cosine - centre)^2) over the pairs i < j (or i <= j), for each centre."""
    unit = unit64(codes)
    i, j = torch.triu_indices(len(unit), len(unit), 0 if include_diagonal else 1)
    cosines = (unit[i] * unit[j]).sum(1).unsqueeze(1)
    return (-alpha * (cosines - centres.double()) ** 2).logsumexp(0)
