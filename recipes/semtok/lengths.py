"""Sequences shorter than the whole: the first tokens of an image, the others hidden from the decoder."""

import torch
import torch.nn.functional as F
from torch import Tensor


def check_length(num_tokens: int, most: int) -> int:
    """The number of tokens, if there may be so many.

    Raises:
        ValueError: None, or more than ``most``.

    Example:
        >>> check_length(3, 8)
        3
    """
    if not 1 <= num_tokens <= most:
        raise ValueError(f"num_tokens: expected 1 to {most}, got {num_tokens}")
    return num_tokens


def doubling(num_tokens: int) -> list[int]:
    """1, 2, 4 and so on, and the whole length.

    Example:
        >>> doubling(12)
        [1, 2, 4, 8, 12]
    """
    return [*(2**power for power in range((num_tokens - 1).bit_length())), num_tokens]


def with_missing(codes: Tensor, hidden: Tensor | None, num_tokens: int) -> tuple[Tensor, Tensor | None]:
    """Codes ``(B, k, L)`` of the first tokens as those of a whole sequence, and which are hidden: the rest too.

    Raises:
        ValueError: ``hidden`` is not bool ``(B, k)``.
    """
    if hidden is not None and (hidden.dtype != torch.bool or hidden.shape != codes.shape[:2]):
        got = f"{str(hidden.dtype).removeprefix('torch.')} {tuple(hidden.shape)}"
        raise ValueError(f"hidden: expected bool {tuple(codes.shape[:2])} for these tokens, got {got}")
    missing = num_tokens - codes.shape[1]
    if missing == 0:
        return codes, hidden
    if hidden is None:
        hidden = torch.zeros(codes.shape[:2], dtype=torch.bool, device=codes.device)
    rest = hidden.new_ones(len(codes), missing)
    return F.pad(codes, (0, 0, 0, missing)), torch.cat([hidden, rest], dim=1)
