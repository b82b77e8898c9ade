"""The quantizers: the settings of each kind, how it is built, and what all are asked. Another kind: a class here."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from vistok.quantizers import (
    BinarySphericalQuantizer,
    FiniteScalarQuantizer,
    IndexBackpropagationQuantizer,
    LookupFreeQuantizer,
    ProjectedVectorQuantizer,
    ResidualVectorQuantizer,
    VectorQuantizer,
)
from vistok.workbench.config import Config

Tokens = tuple[Tensor, ...]
"""The indices of one batch of images, ``(B, h, w)`` int64 for each stream."""

_LARGEST = 2**18  # codes of a stream: generators have a logit for each, evaluations a count
CodebookSize = Annotated[int, Field(ge=2, le=_LARGEST)]


class CodebookConfig(Config):
    """A codebook that is learned: what these kinds have in common."""

    entropy: ClassVar[float] = 0.0  # weight of the entropy term unless the losses say otherwise
    codebook_size: CodebookSize = 16384
    code_dim: int = Field(8, ge=1)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """How many codes each stream of tokens has."""
        return (self.codebook_size,)


class VectorConfig(CodebookConfig):
    """The nearest code, of unit length or plain; learned by gradient or as a moving average."""

    kind: Literal["vector"] = "vector"
    metric: Literal["cosine", "euclidean"] = "cosine"
    learning: Literal["gradient", "ema"] = "gradient"
    decay: float = Field(0.99, ge=0, lt=1)  # of the moving average
    rotation: bool = False  # the gradient turned and scaled with the code (rotation trick), not copied straight through

    def build(self) -> nn.Module:
        """The quantizer."""
        how: dict[str, Any] = {"metric": self.metric, "learning": self.learning, "decay": self.decay}
        return VectorQuantizer(self.codebook_size, self.code_dim, **how)


class ProjectedConfig(CodebookConfig):
    """A frozen codebook under a learned linear map (SimVQ)."""

    kind: Literal["projected"]

    def build(self) -> nn.Module:
        """The quantizer."""
        return ProjectedVectorQuantizer(self.codebook_size, self.code_dim)


class IndexBackpropagationConfig(CodebookConfig):
    """The largest dot product, with a gradient to all codes (IBQ)."""

    entropy: ClassVar[float] = 0.05
    kind: Literal["ibq"]
    temperature: float = Field(1.0, gt=0)

    def build(self) -> nn.Module:
        """The quantizer."""
        return IndexBackpropagationQuantizer(self.codebook_size, self.code_dim, temperature=self.temperature)


class ResidualConfig(CodebookConfig):
    """Stages that each code what those before left over; each is a stream of tokens."""

    kind: Literal["residual"]
    num_stages: int = Field(2, ge=1)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """How many codes each stream of tokens has."""
        return (self.codebook_size,) * self.num_stages

    def build(self) -> nn.Module:
        """The quantizer."""
        return ResidualVectorQuantizer(self.codebook_size, self.code_dim, num_stages=self.num_stages)


class FiniteScalarConfig(Config):
    """Each channel rounded to a few levels (FSQ)."""

    entropy: ClassVar[float] = 0.0
    kind: Literal["fsq"]
    levels: tuple[Annotated[int, Field(ge=3)], ...] = Field((8, 5, 5, 5), min_length=1)

    @model_validator(mode="after")
    def _codes_can_be_counted(self) -> Self:
        if math.prod(self.levels) > _LARGEST:
            raise ValueError(f"levels: expected a product of at most {_LARGEST:,}, got {math.prod(self.levels):,}")
        return self

    @property
    def code_dim(self) -> int:
        """Channels of a code."""
        return len(self.levels)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """How many codes each stream of tokens has."""
        return (math.prod(self.levels),)

    def build(self) -> nn.Module:
        """The quantizer."""
        return FiniteScalarQuantizer(self.levels)


class BitsConfig(Config):
    """Each channel rounded to its sign: what these kinds have in common."""

    entropy: ClassVar[float] = 0.02
    bits: int = Field(14, ge=1)
    num_groups: int = Field(1, ge=1)  # each a stream of tokens, of bits / num_groups bits

    @model_validator(mode="after")
    def _codes_can_be_counted(self) -> Self:
        if self.bits % self.num_groups:
            raise ValueError(f"num_groups: expected a divisor of the {self.bits} bits, got {self.num_groups}")
        if 2 ** (self.bits // self.num_groups) > _LARGEST:
            raise ValueError(f"num_groups: expected groups of at most 18 bits, got {self.bits // self.num_groups}")
        return self

    @property
    def code_dim(self) -> int:
        """Channels of a code."""
        return self.bits

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """How many codes each stream of tokens has."""
        return (2 ** (self.bits // self.num_groups),) * self.num_groups


class LookupFreeConfig(BitsConfig):
    """Signs of the features (LFQ)."""

    kind: Literal["lfq"]

    def build(self) -> nn.Module:
        """The quantizer."""
        return LookupFreeQuantizer(self.bits, num_groups=self.num_groups)


class BinarySphericalConfig(BitsConfig):
    """Signs of the features, on the unit sphere (BSQ)."""

    kind: Literal["bsq"]

    def build(self) -> nn.Module:
        """The quantizer."""
        return BinarySphericalQuantizer(self.bits, num_groups=self.num_groups)


AnyQuantizerConfig = Annotated[
    VectorConfig
    | ProjectedConfig
    | IndexBackpropagationConfig
    | ResidualConfig
    | FiniteScalarConfig
    | LookupFreeConfig
    | BinarySphericalConfig,
    Field(discriminator="kind"),
]


def split_streams(indices: Tensor, count: int) -> Tokens:
    """A quantizer's indices as so many streams."""
    return (indices,) if count == 1 else indices.unbind(-1)


def join_streams(tokens: Sequence[Tensor]) -> Tensor:
    """Inverse of :func:`split_streams`."""
    return tokens[0] if len(tokens) == 1 else torch.stack(tuple(tokens), dim=-1)


def nearest(quantizer: Any, latents: Tensor) -> Tensor:
    """The indices whose codes lie nearest to latents; of stages, what coding them again gives."""
    if isinstance(quantizer, ResidualVectorQuantizer):
        return quantizer(latents).indices  # type: ignore[no-any-return]
    found: Tensor = quantizer.codes_to_indices(latents)
    return found


def into_code_space(quantizer: Any, latents: Tensor) -> Tensor:
    """Latents brought to where codes can lie: to unit length, or between the outermost levels."""
    if isinstance(quantizer, FiniteScalarQuantizer):
        return latents.clamp(-1, 1)
    space: Tensor = quantizer.to_code_space(latents)
    return space


def learned_codebooks(quantizer: Any) -> list[Tensor]:
    """The codes ``(K, d)`` of each stream, where they are learned."""
    if isinstance(quantizer, ResidualVectorQuantizer):
        return [codebook[0] for codebook in quantizer.codebooks]
    return [quantizer.codebook] if hasattr(quantizer, "codebook") else []
