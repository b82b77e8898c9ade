"""TiTok: an image as a short sequence of codes, through two transformers over patches and latent tokens."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from vistok.quantizers import VectorQuantizer
from vistok.tokenizers._checks import check_channel_dim, check_floats, check_shape, check_sizes
from vistok.tokenizers._dtypes import like_weights
from vistok.tokenizers.adapter import TransformerBlock
from vistok.tokenizers.maskgit_vqgan import MaskGITDecoder

_HEAD_DIM = 64  # of every published network


class TransformerSize(NamedTuple):
    """Size of one of TiTok's transformers: S is (512, 8), B (768, 12), L (1024, 24).

    Args:
        width: Channels, a multiple of 64, which an attention head has.
        depth: Blocks.

    Example:
        >>> TransformerSize(512, 8).depth
        8
    """

    width: int
    depth: int


@dataclass(frozen=True)
class PixelCodes:
    """A second codebook between TiTok's decoder and the pixels: that of MaskGIT's VQGAN, with its decoder.

    Args:
        codebook_size: Codes that a patch is a mixture of.
        code_dim: Channels of such a code.
        base_channels: Width of the convolutional decoder at full resolution.
        multipliers: Width of each of its levels as a multiple; each but the last doubles the resolution.
        num_blocks: Residual blocks a level.

    Example:
        >>> PixelCodes().codebook_size
        1024
    """

    codebook_size: int = 1024
    code_dim: int = 256
    base_channels: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4)
    num_blocks: int = 2


class PatchesAndTokens(nn.Module):
    """Attention over a class token, patches ``(B, P, C)`` and latent tokens ``(B, N, C)``; both come out again."""

    def __init__(self, num_patches: int, num_tokens: int, size: TransformerSize) -> None:
        super().__init__()
        width, depth = size
        if width % _HEAD_DIM:
            raise ValueError(f"width must be a multiple of {_HEAD_DIM}, got {width}")
        scale = width**-0.5
        self.class_token = nn.Parameter(scale * torch.randn(1, width))
        self.positions = nn.Parameter(scale * torch.randn(1 + num_patches, width))
        self.token_positions = nn.Parameter(scale * torch.randn(num_tokens, width))
        self.norm_in = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(TransformerBlock(width, width // _HEAD_DIM) for _ in range(depth)))
        self.norm_out = nn.LayerNorm(width)

    def forward(self, patches: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return both sequences after the blocks."""
        class_token = self.class_token.expand(len(patches), 1, -1)
        seen = torch.cat([class_token, patches], dim=1) + self.positions
        x = self.norm_out(self.blocks(self.norm_in(torch.cat([seen, tokens + self.token_positions], dim=1))))
        return x[:, 1 : seen.shape[1]], x[:, seen.shape[1] :]


class CodedPixels(nn.Module):
    """Pixels as the published two-stage networks make them: each patch is a softmax mixture of pixel codes, decoded."""

    def __init__(self, width: int, codes: PixelCodes) -> None:
        super().__init__()
        self.to_logits = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1), nn.Tanh(), nn.Conv2d(2 * width, codes.codebook_size, 1)
        )
        self.codebook = nn.Parameter(torch.empty(codes.codebook_size, codes.code_dim).uniform_(-1, 1))
        self.decoder = MaskGITDecoder(codes.code_dim, 3, codes.base_channels, codes.multipliers, codes.num_blocks)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, width, h, w)`` to images."""
        shares = self.to_logits(features).softmax(dim=1)
        return self.decoder(torch.einsum("bkhw,kc->bchw", shares, self.codebook))  # type: ignore[no-any-return]


class PatchPixels(nn.Module):
    """Pixels at once: each patch is a projection, and a 3x3 convolution goes over the seams."""

    def __init__(self, width: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.to_patches = nn.Conv2d(width, 3 * patch_size**2, 1)
        self.conv_out = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, width, h, w)`` to images."""
        patches, side = self.to_patches(features), self.patch_size
        return self.conv_out(rearrange(patches, "b (p q c) h w -> b c (h p) (w q)", p=side, q=side))  # type: ignore[no-any-return]


class TiTok(nn.Module):
    """Latent tokens beside the patches are all that is kept of an image; beside mask tokens they become patches again.

    Inside, images are in [0, 1], as the published networks have them; outside, in [-1, 1], as everywhere here.

    Source:
        Yu et al. 2024 (TiTok), arXiv:2406.07550, in the form of the authors' code.

    Args:
        quantizer: With its channels last (``channel_dim=-1``). TiTok-L-32, B-64 and S-128 have 4096 codes of 12
            channels and unit length.
        num_tokens: Latent tokens ``N``.
        encoder: Its size.
        decoder: Its size.
        grid_size: Patches along each side; the images are ``grid_size * patch_size`` pixels wide and high.
        patch_size: Pixels along a side of a patch.
        pixels: The codebook and convolutions that make pixels in the published two-stage networks; none, and each patch
            is predicted at once.
        mixed_features: How TiTok-L-32, B-64 and S-128 project latent tokens to codes. Their ``(N, width)`` features are
            read as if they lay in memory as ``(width, N)``: where ``N`` divides the width, code ``m`` comes from the
            channels ``m``, ``m + N``, ``m + 2 N``, ... of every token. It was a slip, the weights were trained with
            it, and no shape shows it. ``False``: each code comes from its token.

    Attributes:
        codebook_sizes: One size, the quantizer's.
        image_size: Pixels along each side.

    Shape:
        - images: ``(B, 3, S, S)``, ``S`` the image size; floats, brought to the dtype of the weights.
        - features, codes: ``(B, N, code_dim)``.
        - tokens: ``(B, N)`` int64.

    Range:
        Images in [-1, 1]; so are those of :meth:`decode`, while those of the call are not clamped. Tokens below
        the size of the codebook.

    Gradient:
        Of the call: to the images and to all parameters but the codes, straight through the quantizer. None of
        :meth:`encode` and :meth:`decode`.

    Raises:
        ValueError: A size is below 1, a width no multiple of 64, or the quantizer's channels are not last (at
            construction); images of another size, or another number of tokens (at call).
        TypeError: Images are not floats (at call).

    Distributed:
        The call gives codes that are parameters no gradient: DDP needs ``find_unused_parameters=True``. To learn them,
        wrap a module whose forward returns the codes too; DDP then needs nothing more.

    Example:
        >>> import torch
        >>> from vistok.quantizers import VectorQuantizer
        >>> size = TransformerSize(width=64, depth=1)
        >>> quantizer = VectorQuantizer(16, 4, channel_dim=-1)
        >>> tokenizer = TiTok(quantizer, 5, size, size, grid_size=4, patch_size=2, pixels=None)
        >>> tokens = tokenizer.encode(torch.zeros(1, 3, 8, 8))
        >>> tokens.shape, tokenizer.decode(tokens).shape
        (torch.Size([1, 5]), torch.Size([1, 3, 8, 8]))
    """

    def __init__(
        self,
        quantizer: VectorQuantizer,
        num_tokens: int,
        encoder: TransformerSize,
        decoder: TransformerSize,
        *,
        grid_size: int = 16,
        patch_size: int = 16,
        pixels: PixelCodes | None = PixelCodes(),
        mixed_features: bool = True,
    ) -> None:
        super().__init__()
        sizes = {"num_tokens": num_tokens, "grid_size": grid_size, "patch_size": patch_size}
        check_sizes("TiTok", {**sizes, "encoder": encoder, "decoder": decoder})
        check_channel_dim("TiTok", quantizer.channel_dim, (-1, 2))
        self.mixed_features = mixed_features
        self.grid_size, self.image_size = grid_size, grid_size * patch_size
        self.embed = nn.Conv2d(3, encoder.width, patch_size, stride=patch_size)
        self.tokens = nn.Parameter(encoder.width**-0.5 * torch.randn(num_tokens, encoder.width))
        self.encoder = PatchesAndTokens(grid_size**2, num_tokens, encoder)
        self.to_code = nn.Conv2d(encoder.width, quantizer.code_dim, 1)
        self.quantizer = quantizer
        self.from_code = nn.Linear(quantizer.code_dim, decoder.width)
        self.mask_token = nn.Parameter(decoder.width**-0.5 * torch.randn(1, 1, decoder.width))
        self.decoder = PatchesAndTokens(grid_size**2, num_tokens, decoder)
        coded = None if pixels is None else CodedPixels(decoder.width, pixels)
        self.pixels = PatchPixels(decoder.width, patch_size) if coded is None else coded
        self.codebook_sizes = (quantizer.codebook_size,)

    def features(self, images: Tensor) -> Tensor:
        """Return the continuous features before quantization."""
        check_floats(images)
        check_shape(images, ("B", 3, self.image_size, self.image_size), "images")
        patches = self.embed((like_weights(images, self.embed.weight) + 1) / 2).flatten(2).transpose(1, 2)
        _, tokens = self.encoder(patches, self.tokens.expand(len(images), -1, -1))
        batch, count, width = tokens.shape
        columns = tokens.reshape(batch, width, count) if self.mixed_features else tokens.transpose(1, 2)
        return self.to_code(columns[..., None]).squeeze(-1).transpose(1, 2)  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Turn images into tokens."""
        indices: Tensor = self.quantizer(self.features(images)).indices
        return indices

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Turn codes into images, not clamped; gradients pass."""
        masks = self.mask_token.expand(len(codes), self.grid_size**2, -1)
        patches, _ = self.decoder(masks, self.from_code(codes))
        grid = patches.transpose(1, 2).unflatten(2, (self.grid_size, self.grid_size))
        return self.pixels(grid) * 2 - 1  # type: ignore[no-any-return]

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Turn tokens into float32 images, clamped to [-1, 1]."""
        check_shape(tokens, ("B", len(self.tokens)), "tokens")
        return self.decode_codes(self.quantizer.indices_to_codes(tokens)).float().clamp(-1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return images through their codes."""
        return self.decode_codes(self.quantizer(self.features(images)).quantized)
