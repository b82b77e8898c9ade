"""A semantic and a visual codebook between a convolutional encoder and decoder: the network of FQGAN."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vistok.quantizers import DualQuantizer
from vistok.tokenizers._checks import check_images, check_shape
from vistok.tokenizers.adapter import Adapter
from vistok.tokenizers.autoencoder import Decoder, Encoder, to_channels_last

_HEADS = 8  # of the adapters' attention, in every published network


class DualTokens(NamedTuple):
    """The tokens of one batch of images.

    Attributes:
        semantic: ``(B, h, w)`` int64.
        visual: ``(B, h, w)`` int64.
    """

    semantic: Tensor
    visual: Tensor


class DualCodebookTokenizer(nn.Module):
    """Two codebooks on shared features, an adapter before each; the defaults are FQGAN's dual tokenizer at stride 16.

    The decoder sees the codes concatenated as [visual, semantic].

    Source:
        FQGAN, arXiv:2411.16681, its dual-code tokenizer, in the form of the authors' code.

    Args:
        codebook_sizes: Number of codes, semantic and visual.
        code_dim: Channels of a code, in both codebooks.
        base_channels: Width at full resolution.
        multipliers: Width of each level as a multiple of it; each level but the last halves the resolution. The last
            width is one of the adapters' 8 attention heads times a whole number.
        num_blocks: Residual blocks a level of the encoder; the decoder has one more.
        latent_channels: Channels before the codes and at the decoder's input.
        adapter_depth: Transformer blocks of an adapter.
        grid_size: Side of the square of tokens that the adapters' positions are learned for; they are interpolated to
            any other grid.

    Attributes:
        stride: Pixels that a token spans along each side.
        codebook_sizes: As given, semantic and visual.

    Shape:
        - images: ``(B, 3, H, W)``, sides divisible by the stride; floats, brought to the dtype of the weights.
        - features, codes: semantic and visual, each ``(B, code_dim, h, w)``, ``h = H / stride``, ``w = W / stride``.
        - tokens: :class:`DualTokens`.

    Range:
        Images in [-1, 1]; so are those of :meth:`decode`, while those of the call are not clamped. Tokens of a branch
        below the size of its codebook.

    Gradient:
        Of the call: to the images and to all parameters but the codes, straight through the quantizers. None of
        :meth:`encode` and :meth:`decode`.

    Raises:
        ValueError: a size is below 1 or the heads do not divide the last width (at construction); images that do not
            fit the stride, or tokens of another shape (at call).
        TypeError: Images are not floats (at call).

    Distributed:
        The call gives the codes no gradient: DDP needs ``find_unused_parameters=True``. To learn them, wrap a
        module whose forward returns the codes too; DDP then needs nothing more.

    Example:
        >>> import torch
        >>> sizes = {"base_channels": 8, "multipliers": (1, 1), "num_blocks": 1, "latent_channels": 8}
        >>> tokenizer = DualCodebookTokenizer((16, 24), adapter_depth=1, grid_size=4, **sizes)
        >>> tokens = tokenizer.encode(torch.zeros(1, 3, 8, 12))
        >>> tokens.semantic.shape, tokens.visual.shape, tokenizer.decode(tokens).shape
        (torch.Size([1, 4, 6]), torch.Size([1, 4, 6]), torch.Size([1, 3, 8, 12]))
    """

    def __init__(
        self,
        codebook_sizes: tuple[int, int] = (16384, 16384),
        code_dim: int = 8,
        *,
        base_channels: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4),
        num_blocks: int = 2,
        latent_channels: int = 256,
        adapter_depth: int = 6,
        grid_size: int = 16,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(3, base_channels, multipliers, num_blocks)
        self.semantic_adapter, self.visual_adapter = (
            Adapter(
                self.encoder.out_channels, latent_channels, code_dim, grid_size, depth=adapter_depth, num_heads=_HEADS
            )
            for _ in range(2)
        )
        semantic_size, visual_size = codebook_sizes
        self.quantizer = DualQuantizer(semantic_size, visual_size, code_dim)
        self.post_quantization = nn.Conv2d(2 * code_dim, latent_channels, 1)
        self.decoder = Decoder(latent_channels, 3, base_channels, multipliers, num_blocks)
        self.stride = int(2 ** (len(multipliers) - 1))
        self.codebook_sizes = (semantic_size, visual_size)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the continuous features before quantization, semantic and visual."""
        check_images(images, self.stride)
        shared = self.encoder(to_channels_last(images))
        return self.semantic_adapter(shared), self.visual_adapter(shared)

    @torch.no_grad()
    def encode(self, images: Tensor) -> DualTokens:
        """Turn images into tokens."""
        semantic, visual = self.quantizer(*self.features(images))
        return DualTokens(semantic.indices, visual.indices)

    def codes(self, tokens: DualTokens) -> tuple[Tensor, Tensor]:
        """Return the codes of tokens, semantic and visual."""
        check_shape(tokens.semantic, ("B", "h", "w"), "tokens.semantic")
        check_shape(tokens.visual, tokens.semantic.shape, "tokens.visual")
        return self.quantizer.indices_to_codes(tokens.semantic, tokens.visual)

    def decode_codes(self, semantic: Tensor, visual: Tensor) -> Tensor:
        """Turn codes into images, not clamped; gradients pass."""
        return self.decoder(self.post_quantization(torch.cat([visual, semantic], dim=1)))  # type: ignore[no-any-return]

    @torch.no_grad()
    def decode(self, tokens: DualTokens) -> Tensor:
        """Turn tokens into float32 images, clamped to [-1, 1]."""
        return self.decode_codes(*self.codes(tokens)).float().clamp(-1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return images through their codes."""
        semantic, visual = self.quantizer(*self.features(images))
        return self.decode_codes(semantic.quantized, visual.quantized)
