"""VQGAN: convolutional encoder, a 1x1 convolution to one quantizer, a 1x1 convolution from it, decoder."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vistok.quantizers import rotation_trick
from vistok.tokenizers import Adapter, Decoder, Encoder, to_channels_last
from vistok.workbench.backbones.pretrained import Pretrained
from vistok.workbench.data import check_images, check_values
from vqgan.config import TokenizerConfig
from vqgan.quantizer import Tokens, VectorConfig, into_code_space, join_streams, nearest, split_streams


class TrainingOutput(NamedTuple):
    """What the training step needs of one pass; all but the images are ``(B, d, h, w)``."""

    reconstruction: Tensor
    features: Tensor  # in code space, before quantization
    codes: Tensor  # the chosen codes, with gradient to what is learned of the codebook


class VQGAN(
    nn.Module,
    Pretrained,
    library_name="vistok",
    coders={TokenizerConfig: (lambda c: c.model_dump(mode="json"), lambda values: TokenizerConfig(**values))},
):
    """The tokenizer. Images are ``(B, C, H, W)`` in [-1, 1] with H and W multiples of the stride."""

    def __init__(self, settings: TokenizerConfig) -> None:
        super().__init__()
        self.settings = settings
        sizes = (settings.image_channels, settings.base_channels, settings.multipliers, settings.num_blocks)
        latents, code_dim = settings.latent_channels, settings.quantizer.code_dim
        self.encoder = Encoder(*sizes)
        self.head = Adapter(self.encoder.out_channels, latents, code_dim, settings.grid_size, depth=0, num_heads=1)
        self.quantizer: Any = settings.quantizer.build()
        self.post_quantization = nn.Conv2d(code_dim, latents, 1)
        self.decoder = Decoder(latents, *sizes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def device(self) -> torch.device:
        """Where the weights are; inputs are brought there and outputs stay there."""
        return self.post_quantization.weight.device

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """How many codes each stream of tokens has."""
        return self.settings.quantizer.codebook_sizes

    def features(self, images: Tensor) -> Tensor:
        """The continuous features ``(B, d, h, w)`` before quantization."""
        check_images(images, channels=self.settings.image_channels, stride=self.settings.stride)
        features: Tensor = self.head(self.encoder(to_channels_last(images.to(self.device))))
        return features

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tokens:
        """Images to tokens: ``(B, h, w)`` int64 for each stream of the quantizer; most have one."""
        check_values(images)
        return split_streams(self.quantizer(self.features(images)).indices, len(self.codebook_sizes))

    def codes(self, tokens: Tokens) -> Tensor:
        """The codes ``(B, d, h, w)`` of tokens."""
        codes: Tensor = self.quantizer.indices_to_codes(join_streams(tokens).to(self.device))
        return codes

    @torch.no_grad()
    def latents(self, tokens: Tokens) -> Tensor:
        """The codes: what generators of latents learn."""
        return self.codes(tokens)

    @torch.no_grad()
    def snap(self, latents: Tensor) -> Tokens:
        """The tokens nearest to (generated) latents ``(B, d, h, w)``."""
        return split_streams(nearest(self.quantizer, latents.to(self.device)), len(self.codebook_sizes))

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Codes ``(B, d, h, w)`` to images, not clamped; gradients pass."""
        images: Tensor = self.decoder(self.post_quantization(codes))
        return images

    @torch.no_grad()
    def decode(self, tokens: Tokens) -> Tensor:
        """Tokens to images, clamped to [-1, 1]."""
        return self.decode_codes(self.codes(tokens)).float().clamp(-1, 1)

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Unscaled latents to images without snapping them to codes; they are only brought to where codes can lie."""
        return self.decode_codes(into_code_space(self.quantizer, latents.to(self.device))).float().clamp(-1, 1)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images through their tokens."""
        return self.decode(self.encode(images))

    def forward(self, images: Tensor) -> TrainingOutput:
        """One training pass; see :class:`TrainingOutput`."""
        z = self.features(images)
        quantized, codes, _ = self.quantizer(z)
        features = self.quantizer.to_code_space(z)
        kind = self.settings.quantizer
        if isinstance(kind, VectorConfig) and kind.rotation:
            quantized = rotation_trick(features, codes)
        return TrainingOutput(self.decode_codes(quantized), features, codes)
