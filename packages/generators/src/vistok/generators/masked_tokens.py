"""What a token of a masked generator is: ids of one or several streams, or a string of bits in groups."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class IdTokens:
    """A position holds one id a stream; each (position, stream) is masked and predicted on its own.

    Args:
        codebook_sizes: Codebook size of each stream.

    Raises:
        ValueError: No stream, or a size below 1.

    Example:
        >>> IdTokens((16, 32)).unit_sizes
        (16, 32)
    """

    codebook_sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.codebook_sizes or min(self.codebook_sizes) < 1:
            raise ValueError(f"codebook_sizes must hold sizes >= 1, got {self.codebook_sizes}")

    @property
    def unit_sizes(self) -> tuple[int, ...]:
        """Number of values of each unit of a position."""
        return self.codebook_sizes


@dataclass(frozen=True)
class BitTokens:
    """A position holds ``num_bits`` bits of value -1 or 1, cut into groups that are masked and predicted as a whole.

    Bit ``i`` of a group counts ``2 ** i`` in the group's id; a masked group enters the network as zeros.

    Source:
        MaskBit (arXiv:2409.16211), Section 3.3.

    Args:
        num_bits: Bits a position.
        num_groups: Groups, dividing ``num_bits``; a group has ``2 ** (num_bits / num_groups)`` values.

    Raises:
        ValueError: Groups do not divide the bits, or a group of more than 20 bits.

    Example:
        >>> BitTokens(14, 2).unit_sizes
        (128, 128)
    """

    num_bits: int
    num_groups: int = 2

    def __post_init__(self) -> None:
        if self.num_groups < 1 or self.num_bits < 1 or self.num_bits % self.num_groups:
            raise ValueError(f"num_groups must divide num_bits, got {self.num_groups} and {self.num_bits}")
        if self.num_bits // self.num_groups > 20:
            raise ValueError(f"a group may have 20 bits, got {self.num_bits // self.num_groups}: use more groups")

    @property
    def unit_sizes(self) -> tuple[int, ...]:
        """Number of values of each unit of a position."""
        return (2 ** (self.num_bits // self.num_groups),) * self.num_groups

    def to_groups(self, bits: Tensor) -> Tensor:
        """Bits ``(..., num_bits)``, positive for 1, to group ids ``(..., num_groups)``, int64.

        Example:
            >>> import torch
            >>> BitTokens(4, 2).to_groups(torch.tensor([1, -1, 1, 1])).tolist()
            [1, 3]
        """
        if bits.shape[-1] != self.num_bits:
            raise ValueError(f"bits must have {self.num_bits} entries on the last axis, got {tuple(bits.shape)}")
        groups = (bits > 0).unflatten(-1, (self.num_groups, -1)).long()
        shifts = torch.arange(groups.shape[-1], device=bits.device)
        ids: Tensor = (groups << shifts).sum(dim=-1)
        return ids

    def to_bits(self, groups: Tensor) -> Tensor:
        """Inverse of :meth:`to_groups`: ids to float32 bits of value -1 or 1.

        Raises:
            ValueError: The last axis does not hold ``num_groups`` ids.

        Example:
            >>> import torch
            >>> BitTokens(4, 2).to_bits(torch.tensor([1, 3])).tolist()
            [1.0, -1.0, 1.0, 1.0]
        """
        if groups.shape[-1] != self.num_groups:
            raise ValueError(f"groups must have {self.num_groups} ids on the last axis, got {tuple(groups.shape)}")
        powers = torch.arange(self.num_bits // self.num_groups, device=groups.device)
        bits: Tensor = ((groups[..., None] >> powers) & 1) * 2 - 1
        return bits.flatten(-2).float()
