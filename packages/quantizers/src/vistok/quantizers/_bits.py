"""Between bits and integer indices, in integer arithmetic, lowest bit first."""

import torch
from torch import Tensor


def check_groups(owner: str, bits: int, num_groups: int, most: int) -> None:
    """Raise ``ValueError`` unless ``bits`` splits into ``num_groups`` groups of at most ``most`` bits."""
    if bits < 1 or num_groups < 1 or bits % num_groups:
        raise ValueError(f"{owner}: num_groups must divide bits and both be at least 1, got {num_groups} and {bits}")
    if bits // num_groups > most:
        raise ValueError(f"{owner}: a group can have at most {most} bits, got {bits} bits in {num_groups} groups")


def bits_to_indices(bits: Tensor, num_groups: int) -> Tensor:
    """Turn ``(*, L)`` booleans into ``(*)`` indices, or ``(*, num_groups)`` with more than one group."""
    grouped: Tensor = bits.unflatten(-1, (num_groups, -1)).long()
    indices = torch.bitwise_left_shift(grouped, torch.arange(grouped.shape[-1], device=bits.device)).sum(-1)
    return indices.squeeze(-1) if num_groups == 1 else indices


def indices_to_bits(indices: Tensor, bits: int, num_groups: int) -> Tensor:
    """Undo :func:`bits_to_indices`: ``(*, bits)`` int64 zeros and ones."""
    grouped = indices.long() if num_groups > 1 else indices.long().unsqueeze(-1)
    shifts = torch.arange(bits // num_groups, device=indices.device)
    bits_of_groups = torch.bitwise_right_shift(grouped.unsqueeze(-1), shifts) & 1
    return bits_of_groups.flatten(-2)
