"""What a configuration says of the tokenizer's networks."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from semtok.quantizer import AnyQuantizerConfig, BinarySphericalConfig
from vistok.workbench.config import Config

Prediction = Literal["velocity", "image", "noise"]


class TokenizerConfig(Config):
    """The networks. Sizes in pixels; with a latent space (``space_channels``) patches are cut from its latents."""

    image_channels: Literal[1, 3] = 3
    image_size: int = Field(256, ge=8)  # of training; other sizes interpolate the learned positions
    space_channels: int | None = Field(None, ge=1)  # channels of a latent space's latents; none: pixels
    space_stride: int = Field(1, ge=1)  # pixels a latent spans along each side
    patch_size: int = Field(8, ge=1)
    num_tokens: int = Field(256, ge=1)
    quantizer: AnyQuantizerConfig = BinarySphericalConfig()
    bits: int = Field(18, ge=2, le=62)  # of a token, with quantizers bsq and lfq
    encoder_width: int = Field(1024, ge=8)
    encoder_depth: int = Field(12, ge=1)
    encoder_heads: int = Field(16, ge=1)
    decoder_width: int = Field(1536, ge=8)
    decoder_depth: int = Field(24, ge=1)
    decoder_heads: int = Field(24, ge=1)
    prediction: Prediction = "velocity"  # what the decoder's output is; the others follow from it and the noisy image

    @property
    def token_parts(self) -> tuple[int, ...]:
        """How many values each part of a token's number has, lowest first: its bits, its levels, or all of it."""
        return self.quantizer.parts(self.bits)

    @property
    def code_dim(self) -> int:
        """Channels of a code."""
        return self.quantizer.code_dim(self.bits)

    @property
    def codebook_size(self) -> int:
        """How many codes a token has."""
        return math.prod(self.token_parts)

    @property
    def token_bits(self) -> float:
        """How many bits a token holds; of codes that are not strings of bits the logarithm of their number."""
        return math.log2(self.codebook_size)

    @property
    def token_words(self) -> str:
        """What a token is, in words."""
        return f"{self.bits} bits" if self.quantizer.binary else f"{self.codebook_size:,} codes"

    @property
    def channels(self) -> int:
        """Channels of what the networks see."""
        return self.space_channels or self.image_channels

    @property
    def working_size(self) -> int:
        """Side of what the networks see, in its own pixels."""
        return self.image_size // self.space_stride

    @property
    def stride(self) -> int:
        """Pixels a patch spans along each side."""
        return self.patch_size * self.space_stride

    @property
    def grid_size(self) -> int:
        """Patches along each side at the training resolution."""
        return self.image_size // self.stride

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.space_channels is None and self.space_stride > 1:
            raise ValueError(f"space_stride: expected 1 without a space, got {self.space_stride}")
        if self.image_size % self.stride:
            raise ValueError(f"image_size: expected a multiple of the stride {self.stride}, got {self.image_size}")
        for name, width, heads in (
            ("encoder_width", self.encoder_width, self.encoder_heads),
            ("decoder_width", self.decoder_width, self.decoder_heads),
        ):
            if width % (4 * heads):
                raise ValueError(f"{name}: expected a multiple of 4 times {heads} heads, got {width}")
        if self.prediction != "image" and self.channels * self.patch_size**2 > self.decoder_width:
            # A velocity holds the noise of every value of a patch: through fewer channels it does not pass. Images do.
            raise ValueError(
                f"patch_size: expected patches of at most decoder_width = {self.decoder_width} values, "
                f"got {self.patch_size} x {self.patch_size} x {self.channels}"
            )
        return self
