"""One codebook between a convolutional encoder and decoder: the network of LlamaGen's VQ tokenizers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vistok.quantizers import VectorQuantizer
from vistok.tokenizers._checks import check_images
from vistok.tokenizers.adapter import Adapter
from vistok.tokenizers.autoencoder import Decoder, Encoder, to_channels_last


class SingleCodebookTokenizer(nn.Module):
    """One codebook between the encoder and the decoder; the defaults are LlamaGen's VQ-16.

    Source:
        LlamaGen, arXiv:2406.06525, its image tokenizer; the network of VQGAN, arXiv:2012.09841.

    Args:
        codebook_size: Number of codes.
        code_dim: Channels of a code.
        base_channels: Width at full resolution.
        multipliers: Width of each level as a multiple of it; each level but the last halves the resolution.
        num_blocks: Residual blocks a level of the encoder; the decoder has one more.
        latent_channels: Channels before the code and at the decoder's input.

    Attributes:
        stride: Pixels that a token spans along each side.
        codebook_sizes: ``(codebook_size,)``, as an evaluation asks for it.

    Shape:
        - images: ``(B, 3, H, W)``, sides divisible by the stride.
        - features, codes: ``(B, code_dim, h, w)``, ``h = H / stride``, ``w = W / stride``.
        - tokens: ``(B, h, w)`` int64.

    Range:
        Images in [-1, 1]; so are those of :meth:`decode`, while those of the call are not clamped. Tokens below
        ``codebook_size``.

    Gradient:
        Of the call: to the images and to all parameters but the codes, straight through the quantizer. None of
        :meth:`encode` and :meth:`decode`.

    Raises:
        ValueError: a size is below 1 (at construction); images that do not fit the stride (at call).

    Example:
        >>> import torch
        >>> tokenizer = SingleCodebookTokenizer(16, base_channels=8, multipliers=(1, 1), latent_channels=8)
        >>> tokens = tokenizer.encode(torch.zeros(1, 3, 8, 12))
        >>> tokens.shape, tokenizer.decode(tokens).shape
        (torch.Size([1, 4, 6]), torch.Size([1, 3, 8, 12]))
    """

    def __init__(
        self,
        codebook_size: int = 16384,
        code_dim: int = 8,
        *,
        base_channels: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4),
        num_blocks: int = 2,
        latent_channels: int = 256,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(3, base_channels, multipliers, num_blocks)
        self.head = Adapter(self.encoder.out_channels, latent_channels, code_dim, grid_size=1, depth=0, num_heads=1)
        self.quantizer = VectorQuantizer(codebook_size, code_dim)
        self.post_quantization = nn.Conv2d(code_dim, latent_channels, 1)
        self.decoder = Decoder(latent_channels, 3, base_channels, multipliers, num_blocks)
        self.stride = int(2 ** (len(multipliers) - 1))
        self.codebook_sizes = (codebook_size,)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, images: Tensor) -> Tensor:
        """Return the continuous features before quantization."""
        check_images(images, self.stride)
        return self.head(self.encoder(to_channels_last(images)))  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Turn images into tokens."""
        return self.quantizer(self.features(images)).indices  # type: ignore[no-any-return]

    def codes(self, tokens: Tensor) -> Tensor:
        """Return the codes of tokens."""
        return self.quantizer.indices_to_codes(tokens)

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Turn codes into images, not clamped; gradients pass."""
        return self.decoder(self.post_quantization(codes))  # type: ignore[no-any-return]

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Turn tokens into float32 images, clamped to [-1, 1]."""
        return self.decode_codes(self.codes(tokens)).float().clamp(-1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return images through their codes."""
        return self.decode_codes(self.quantizer(self.features(images)).quantized)
