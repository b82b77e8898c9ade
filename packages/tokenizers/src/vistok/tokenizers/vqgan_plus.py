"""VQGAN+ around any quantizer of a grid: the tokenizer of MaskBit."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vistok.quantizers import BinarySphericalQuantizer, LookupFreeQuantizer, VectorQuantizer
from vistok.tokenizers._checks import check_channel_dim, check_images, check_shape
from vistok.tokenizers._dtypes import like_weights
from vistok.tokenizers.autoencoder import to_channels_last
from vistok.tokenizers.maskgit_vqgan import MaskGITDecoder, MaskGITEncoder


class VQGANPlus(nn.Module):
    """Convolutions without attention around one quantizer; the other defaults are those of MaskBit's tokenizers.

    Inside, images are in [0, 1], as the published networks have them; outside, in [-1, 1], as everywhere here.

    Source:
        Weber et al. 2024 (MaskBit), arXiv:2409.16211, Section 3.1, in the form of the authors' code.

    Args:
        quantizer: With its channels at dimension 1. MaskBit's: ``LookupFreeQuantizer(bits, lowest_bit_first=True)``,
            whose indices are those of the authors' code.
        code_dim: Channels of a code: the bits.
        base_channels: Width at full resolution.
        multipliers: Width of each level as a multiple of it; each level but the last halves the resolution.
        num_blocks: Residual blocks a level, and in the middle, of encoder and decoder.

    Attributes:
        stride: Pixels that a token spans along each side.
        codebook_sizes: One size, the quantizer's.

    Shape:
        - images: ``(B, 3, H, W)``, sides divisible by the stride; floats, brought to the dtype of the weights.
        - features, codes: ``(B, code_dim, h, w)``, ``h = H / stride``, ``w = W / stride``.
        - tokens: ``(B, h, w)`` int64.

    Range:
        Images in [-1, 1]; so are those of :meth:`decode`, while those of the call are not clamped. Tokens below
        the size of the codebook.

    Gradient:
        Of the call: to the images and to all parameters but the codes, straight through the quantizer. None of
        :meth:`encode` and :meth:`decode`.

    Raises:
        ValueError: A size is below 1, or the quantizer's channels are elsewhere (at construction); images that do not
            fit the stride, or tokens of another shape (at call).
        TypeError: Images are not floats (at call).

    Distributed:
        The call gives codes that are parameters no gradient: DDP needs ``find_unused_parameters=True``. To learn them,
        wrap a module whose forward returns the codes too; DDP then needs nothing more.

    Example:
        >>> import torch
        >>> from vistok.quantizers import LookupFreeQuantizer
        >>> quantizer = LookupFreeQuantizer(4, lowest_bit_first=True)
        >>> tokenizer = VQGANPlus(quantizer, 4, base_channels=8, multipliers=(1, 1), num_blocks=1)
        >>> tokens = tokenizer.encode(torch.zeros(1, 3, 8, 12))
        >>> tokens.shape, tokenizer.decode(tokens).shape, tokenizer.codebook_sizes
        (torch.Size([1, 4, 6]), torch.Size([1, 3, 8, 12]), (16,))
    """

    def __init__(
        self,
        quantizer: LookupFreeQuantizer | BinarySphericalQuantizer | VectorQuantizer,
        code_dim: int,
        *,
        base_channels: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4),
        num_blocks: int = 2,
    ) -> None:
        super().__init__()
        check_channel_dim("VQGANPlus", quantizer.channel_dim, (1, -3))
        self.encoder = MaskGITEncoder(3, code_dim, base_channels, multipliers, num_blocks)
        self.quantizer = quantizer
        self.decoder = MaskGITDecoder(code_dim, 3, base_channels, multipliers, num_blocks)
        self.stride = int(2 ** (len(multipliers) - 1))
        self.codebook_sizes = (quantizer.codebook_size,)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, images: Tensor) -> Tensor:
        """Return the continuous features before quantization."""
        check_images(images, self.stride)
        images = like_weights(images, self.encoder.conv_in.weight)
        return self.encoder(to_channels_last((images + 1) / 2))  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Turn images into tokens."""
        indices: Tensor = self.quantizer(self.features(images)).indices
        return indices

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Turn codes into images, not clamped; gradients pass."""
        return self.decoder(codes.to(self.decoder.conv_in.weight.dtype)) * 2 - 1  # type: ignore[no-any-return]

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Turn tokens into float32 images, clamped to [-1, 1]."""
        groups = getattr(self.quantizer, "num_groups", 1)  # a code has several tokens, which are a dimension more
        check_shape(tokens, ("B", "h", "w") if groups == 1 else ("B", "h", "w", groups), "tokens")
        return self.decode_codes(self.quantizer.indices_to_codes(tokens)).float().clamp(-1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return images through their codes."""
        return self.decode_codes(self.quantizer(self.features(images)).quantized)
