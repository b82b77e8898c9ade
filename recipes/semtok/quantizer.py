"""The quantizers: the settings of each kind, how it is built, and what a token of it is made of."""

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from vistok.quantizers import (
    BinarySphericalQuantizer,
    FiniteScalarQuantizer,
    LookupFreeQuantizer,
    VectorQuantizer,
)
from vistok.workbench.config import Config

_MOST_CODES = 2**18  # that are not strings of bits: evaluations count each
_MOST_LOOKUP_FREE_BITS = 18


class _BinaryConfig(Config):
    """Signs of the features, ``tokenizer.bits`` of them."""

    binary: ClassVar[bool] = True

    def parts(self, bits: int) -> tuple[int, ...]:
        """How many values each part of a token's number has, lowest first: its bits."""
        return (2,) * bits

    def code_dim(self, bits: int) -> int:
        """Channels of a code."""
        return bits

    def divisor_of(self, bits: int) -> str:
        """What numbers of groups divide, in words."""
        return f"a divisor of tokenizer.bits = {bits}"


class BinarySphericalConfig(_BinaryConfig):
    """Signs on the unit sphere (BSQ)."""

    unit_length: ClassVar[bool] = True  # of a code
    kind: Literal["bsq"] = "bsq"

    def build(self, bits: int) -> nn.Module:
        """The quantizer of sequences ``(B, N, code_dim)``."""
        return BinarySphericalQuantizer(bits, channel_dim=-1)


class LookupFreeConfig(_BinaryConfig):
    """Signs, each -1 or 1 (LFQ)."""

    unit_length: ClassVar[bool] = False
    kind: Literal["lfq"]

    def build(self, bits: int) -> nn.Module:
        """The quantizer of sequences ``(B, N, code_dim)``."""
        if bits > _MOST_LOOKUP_FREE_BITS:
            raise ValueError(f"bits: expected at most {_MOST_LOOKUP_FREE_BITS} with quantizer lfq, got {bits}")
        return LookupFreeQuantizer(bits, channel_dim=-1, lowest_bit_first=True)


class FiniteScalarConfig(Config):
    """Each channel rounded to a few levels (FSQ)."""

    binary: ClassVar[bool] = False
    unit_length: ClassVar[bool] = False
    kind: Literal["fsq"]
    levels: tuple[Annotated[int, Field(ge=3)], ...] = Field((8, 5, 5, 5), min_length=1)

    @model_validator(mode="after")
    def _codes_can_be_counted(self) -> Self:
        if math.prod(self.levels) > _MOST_CODES:
            raise ValueError(f"levels: expected a product of at most {_MOST_CODES:,}, got {math.prod(self.levels):,}")
        return self

    def parts(self, bits: int) -> tuple[int, ...]:
        """How many values each part of a token's number has, lowest first: its levels."""
        return self.levels

    def code_dim(self, bits: int) -> int:
        """Channels of a code."""
        return len(self.levels)

    def divisor_of(self, bits: int) -> str:
        """What numbers of groups divide, in words."""
        return f"a divisor of the {len(self.levels)} channels of quantizer fsq"

    def build(self, bits: int) -> nn.Module:
        """The quantizer of sequences ``(B, N, code_dim)``."""
        return FiniteScalarQuantizer(self.levels, channel_dim=-1)


class VectorConfig(Config):
    """The nearest of learned codes of unit length."""

    binary: ClassVar[bool] = False
    unit_length: ClassVar[bool] = True
    kind: Literal["vector"]
    codebook_size: int = Field(4096, ge=2, le=_MOST_CODES)
    dim: int = Field(8, ge=1)  # of a code

    def parts(self, bits: int) -> tuple[int, ...]:
        """How many values each part of a token's number has: it has one part."""
        return (self.codebook_size,)

    def code_dim(self, bits: int) -> int:
        """Channels of a code."""
        return self.dim

    def divisor_of(self, bits: int) -> str:
        """What numbers of groups divide, in words."""
        return "1 with quantizer vector"

    def build(self, bits: int) -> nn.Module:
        """The quantizer of sequences ``(B, N, code_dim)``."""
        return VectorQuantizer(self.codebook_size, self.dim, channel_dim=-1)


AnyQuantizerConfig = Annotated[
    BinarySphericalConfig | LookupFreeConfig | FiniteScalarConfig | VectorConfig, Field(discriminator="kind")
]


def group_sizes(parts: tuple[int, ...], count: int) -> tuple[int, ...]:
    """How many values each of so many groups of a token's parts has, lowest first.

    Example:
        >>> group_sizes((2, 2, 2, 2), 2), group_sizes((8, 5, 5, 5), 4)
        ((4, 4), (8, 5, 5, 5))
    """
    length = len(parts) // count
    return tuple(math.prod(parts[start : start + length]) for start in range(0, len(parts), length))
