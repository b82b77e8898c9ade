"""GloTok (paper, section 3): convolutional encoder, semantic and visual codebook, residual recovery, decoder."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glotok.config import TokenizerConfig
from vistok.quantizers import DualQuantizer, Quantized, ResidualRecovery, VectorQuantizer
from vistok.tokenizers import Adapter, Decoder, Encoder, to_channels_last
from vistok.workbench.backbones.pretrained import Pretrained
from vistok.workbench.data import check_images, check_values


class Tokens(NamedTuple):
    """The indices of one batch of images, each ``(B, h, w)`` int64."""

    semantic: Tensor
    visual: Tensor


class Branch(NamedTuple):
    """One codebook's side of a training pass, for the losses. ``(B, d, h, w)`` where nothing else is said."""

    features: Tensor  # Z in code space (unit vectors), before quantization
    codes: Tensor  # the chosen codes, with gradient to the codebook
    indices: Tensor  # (B, h, w)
    residual: Tensor | None  # R(sg[codes]) or R(codes): what the residual loss trains; none without recovery
    quantized: Tensor  # the chosen codes, with gradient straight through to the features
    codebook: Tensor  # (K, d), as stored


class TrainingOutput(NamedTuple):
    """What the training step needs of one pass."""

    reconstruction: Tensor
    semantic: Branch
    visual: Branch
    predicted: Tensor | None = None  # the backbone's feature (B, D), where a head predicts it


class GloTok(
    nn.Module,
    Pretrained,
    library_name="vistok",
    coders={TokenizerConfig: (lambda c: c.model_dump(mode="json"), lambda values: TokenizerConfig(**values))},
):
    """The tokenizer. Images are ``(B, C, H, W)`` in [-1, 1] with H and W multiples of the stride.

    The decoder and the generators see the branches concatenated as [visual, semantic].
    """

    def __init__(self, settings: TokenizerConfig) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = Encoder(
            settings.image_channels, settings.base_channels, settings.multipliers, settings.num_blocks
        )

        def adapter() -> Adapter:
            return Adapter(
                self.encoder.out_channels,
                settings.latent_channels,
                settings.code_dim,
                settings.grid_size,
                depth=settings.adapter_depth,
                num_heads=settings.adapter_heads,
            )

        def recovery() -> ResidualRecovery:
            return ResidualRecovery(
                settings.code_dim,
                (settings.grid_size, settings.grid_size),
                width=settings.residual_width,
                heads=settings.residual_heads,
            )

        self.semantic_adapter = adapter()
        self.visual_adapter = adapter()
        self.quantizer = DualQuantizer(
            settings.semantic_codebook_size, settings.visual_codebook_size, settings.code_dim
        )
        self.semantic_recovery = recovery() if settings.residual else None
        self.visual_recovery = recovery() if settings.residual else None
        self.post_quantization = nn.Conv2d(2 * settings.code_dim, settings.latent_channels, 1)
        self.decoder = Decoder(
            settings.latent_channels,
            settings.image_channels,
            settings.base_channels,
            settings.multipliers,
            settings.num_blocks,
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def device(self) -> torch.device:
        """Where the weights are; inputs are brought there and outputs stay there."""
        return self.post_quantization.weight.device

    @property
    def codebook_sizes(self) -> tuple[int, int]:
        """How many codes each book of :class:`Tokens` has."""
        return self.settings.semantic_codebook_size, self.settings.visual_codebook_size

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The continuous features Z_sem, Z_vis ``(B, d, h, w)`` before quantization."""
        check_images(images, channels=self.settings.image_channels, stride=self.settings.stride)
        z = self.encoder(to_channels_last(images.to(self.device)))
        return self.semantic_adapter(z), self.visual_adapter(z)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tokens:
        """Images to tokens."""
        check_values(images)
        semantic, visual = self.quantizer(*self.features(images))
        return Tokens(semantic.indices, visual.indices)

    def codes(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """The codes q_sem, q_vis ``(B, d, h, w)`` of tokens."""
        return self.quantizer.indices_to_codes(tokens.semantic.to(self.device), tokens.visual.to(self.device))

    @torch.no_grad()
    def latents(self, tokens: Tokens) -> Tensor:
        """The pre-residual codes as [visual, semantic] ``(B, 2 d, h, w)``: what generators of latents learn."""
        semantic, visual = self.codes(tokens)
        return torch.cat([visual, semantic], dim=1)

    @torch.no_grad()
    def snap(self, latents: Tensor) -> Tokens:
        """The tokens nearest to (generated) latents ``(B, 2 d, h, w)``."""
        visual, semantic = latents.to(self.device).chunk(2, dim=1)
        quantized = self.quantizer(semantic, visual)
        return Tokens(quantized[0].indices, quantized[1].indices)

    def recovered(self, semantic: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Codes plus what residual recovery restores of the features (equations 8, 9, 11, 12)."""
        if self.semantic_recovery is None or self.visual_recovery is None:
            return semantic, visual
        return semantic + self.semantic_recovery(semantic), visual + self.visual_recovery(visual)

    def decode_recovered(self, semantic: Tensor, visual: Tensor) -> Tensor:
        """Recovered features ``(B, d, h, w)`` to images: concatenation and decoder."""
        return self.decoder(self.post_quantization(torch.cat([visual, semantic], dim=1)))  # type: ignore[no-any-return]

    def decode_codes(self, semantic: Tensor, visual: Tensor) -> Tensor:
        """Codes ``(B, d, h, w)`` to images."""
        return self.decode_recovered(*self.recovered(semantic, visual))

    @torch.no_grad()
    def decode(self, tokens: Tokens) -> Tensor:
        """Tokens to images, clamped to [-1, 1]."""
        return self.decode_codes(*self.codes(tokens)).float().clamp(-1, 1)

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Unscaled latents to images without snapping them to codes; each half is only normalised."""
        visual, semantic = latents.to(self.device).chunk(2, dim=1)
        return self.decode_codes(F.normalize(semantic, dim=1), F.normalize(visual, dim=1)).float().clamp(-1, 1)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images through their tokens."""
        return self.decode(self.encode(images))

    def forward(self, images: Tensor, *, detach: bool = True) -> TrainingOutput:
        """One training pass; see :class:`TrainingOutput`. ``detach`` the codes that the residual loss recovers from."""
        z_semantic, z_visual = self.features(images)
        semantic, visual = self.quantizer(z_semantic, z_visual)
        semantic_features, semantic_residual = _recover(self.semantic_recovery, semantic, detach)
        visual_features, visual_residual = _recover(self.visual_recovery, visual, detach)
        books = self.quantizer
        return TrainingOutput(
            self.decode_recovered(semantic_features, visual_features),
            _branch(books.semantic, z_semantic, semantic, semantic_residual),
            _branch(books.visual, z_visual, visual, visual_residual),
        )


def _branch(book: VectorQuantizer, z: Tensor, quantized: Quantized, residual: Tensor | None) -> Branch:
    features = book.to_code_space(z)
    return Branch(features, quantized.codes, quantized.indices, residual, quantized.quantized, book.codebook)


def _recover(recovery: nn.Module | None, quantized: Quantized, detach: bool) -> tuple[Tensor, Tensor | None]:
    """The recovered features for the decoder, and the residual for its loss: one pass of the module over both inputs.

    The inputs have equal values. They differ in where gradients go: those of the decoder straight through to the
    encoder, those of the loss nowhere, or with ``detach=False`` to the codebook.
    """
    features, codes = quantized.quantized, quantized.codes
    if recovery is None:
        return features, None
    to_decoder, to_loss = recovery(torch.cat([features, codes.detach() if detach else codes])).chunk(2)
    return features + to_decoder, to_loss
