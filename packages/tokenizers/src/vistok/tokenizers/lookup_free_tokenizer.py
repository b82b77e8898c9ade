"""Signs of features between convolutional stacks without attention: the image tokenizer of MAGVIT-v2."""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from vistok.quantizers import LookupFreeQuantizer
from vistok.tokenizers._checks import check_images, check_shape, check_sizes
from vistok.tokenizers._dtypes import like_weights
from vistok.tokenizers._normalisation import normalised_swish
from vistok.tokenizers.autoencoder import ResidualBlock, group_norm, to_channels_last

_EPS = 1e-6


class AdaptiveNorm(nn.Module):
    """Group normalisation whose gain and offset follow from the spread and the mean of an image's codes.

    ``(B, C, H, W), (B, bits, h, w) -> (B, C, H, W)``.
    """

    def __init__(self, channels: int, bits: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(group_norm(channels).num_groups, channels, eps=_EPS, affine=False)
        self.gain = nn.Linear(bits, channels)
        self.offset = nn.Linear(bits, channels)

    def forward(self, x: Tensor, codes: Tensor) -> Tensor:
        """Normalise, scale and shift."""
        places = codes.flatten(2)
        spread = places.var(dim=-1) if len(places) else places.sum(dim=-1)  # var() warns of no images
        gain = self.gain((spread + _EPS).sqrt())
        offset = self.offset(places.mean(dim=-1))
        return self.norm(x) * gain[:, :, None, None] + offset[:, :, None, None]  # type: ignore[no-any-return]


class DepthToSpace(nn.Module):
    """Double the resolution: a 3x3 convolution to four times the channels, which become two by two pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and unfold."""
        return rearrange(self.conv(x), "b (p q c) h w -> b c (h p) (w q)", p=2, q=2)  # type: ignore[no-any-return]


class LookupFreeEncoder(nn.Module):
    """Images to ``bits`` channels. ``(B, 3, H, W) -> (B, bits, h, w)``."""

    def __init__(self, bits: int, base_channels: int, multipliers: Sequence[int], num_blocks: int) -> None:
        super().__init__()
        widths = [base_channels * multiplier for multiplier in multipliers]
        self.conv_in = nn.Conv2d(3, base_channels, 3, padding=1, bias=False)
        levels: list[nn.Module] = []
        for index, width in enumerate(widths):
            levels.append(_level(widths[index - 1] if index else base_channels, width, num_blocks))
            if index < len(widths) - 1:
                levels.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
        self.levels = nn.Sequential(*levels)
        self.middle = _level(widths[-1], widths[-1], num_blocks)
        self.norm_out = group_norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], bits, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Encode images."""
        h = self.middle(self.levels(self.conv_in(images)))
        return self.conv_out(normalised_swish(h, self.norm_out))  # type: ignore[no-any-return]


class LookupFreeDecoder(nn.Module):
    """Codes to images; each level begins with a norm that sees all codes. ``(B, bits, h, w) -> (B, 3, H, W)``."""

    def __init__(self, bits: int, base_channels: int, multipliers: Sequence[int], num_blocks: int) -> None:
        super().__init__()
        widths = [base_channels * multiplier for multiplier in reversed(multipliers)]
        before = [widths[0], *widths[:-1]]
        self.conv_in = nn.Conv2d(bits, widths[0], 3, padding=1)
        self.middle = _level(widths[0], widths[0], num_blocks)
        self.norms = nn.ModuleList(AdaptiveNorm(width, bits) for width in before)
        self.levels = nn.ModuleList(_level(old, new, num_blocks) for old, new in zip(before, widths, strict=True))
        self.upsamplers = nn.ModuleList(DepthToSpace(width) for width in widths[:-1])
        self.norm_out = group_norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, codes: Tensor) -> Tensor:
        """Decode codes."""
        h = self.middle(self.conv_in(codes))
        for index, (norm, level) in enumerate(zip(self.norms, self.levels, strict=True)):
            h = level(norm(h, codes))
            if index < len(self.upsamplers):
                h = self.upsamplers[index](h)
        return self.conv_out(normalised_swish(h, self.norm_out))  # type: ignore[no-any-return]


class LookupFreeTokenizer(nn.Module):
    """Convolutions around a lookup-free quantizer; the defaults are Open-MAGVIT2's with 2^18 codes at stride 16.

    Bit ``i`` of a token is the sign of channel ``i``, the first channel being the lowest bit.

    Source:
        Yu et al. 2023 (MAGVIT-v2), arXiv:2310.05737, its appendix on the architecture, for images; Luo et al. 2024
        (Open-MAGVIT2), arXiv:2409.04410, in the form of the authors' code.

    Args:
        bits: Of a token, 18 at most; there are ``2^bits`` codes.
        base_channels: Width at full resolution.
        multipliers: Width of each level as a multiple of it; each level but the last halves the resolution.
        num_blocks: Residual blocks of a level, and of the middle, of encoder and decoder.

    Attributes:
        stride: Pixels that a token spans along each side.
        codebook_sizes: How many codes there are, once.

    Shape:
        - images: ``(B, 3, H, W)``, sides divisible by the stride; floats, brought to the dtype of the weights.
        - features, codes: ``(B, bits, h, w)``, ``h = H / stride``, ``w = W / stride``, two tokens at least.
        - tokens: ``(B, h, w)`` int64.

    Range:
        Images in [-1, 1]; so are those of :meth:`decode`, while those of the call are not clamped. Codes are -1 or 1,
        tokens below ``2^bits``.

    Gradient:
        Of the call: to the images and to all parameters, straight through the quantizer. None of :meth:`encode` and
        :meth:`decode`.

    Raises:
        ValueError: a size is below 1, or there are more than 18 bits (at construction); images that do not fit the
            stride, tokens of another shape, or a single one, which has no spread (at call).
        TypeError: Images are not floats (at call).

    Example:
        >>> import torch
        >>> tokenizer = LookupFreeTokenizer(6, base_channels=8, multipliers=(1, 2), num_blocks=1)
        >>> tokens = tokenizer.encode(torch.zeros(1, 3, 8, 12))
        >>> tokens.shape, tokenizer.decode(tokens).shape, tokenizer.codebook_sizes
        (torch.Size([1, 4, 6]), torch.Size([1, 3, 8, 12]), (64,))
    """

    def __init__(
        self,
        bits: int = 18,
        *,
        base_channels: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4),
        num_blocks: int = 4,
    ) -> None:
        super().__init__()
        sizes = {"bits": bits, "base_channels": base_channels, "num_blocks": num_blocks}
        check_sizes("LookupFreeTokenizer", {**sizes, "multipliers": multipliers})
        self.encoder = LookupFreeEncoder(bits, base_channels, multipliers, num_blocks)
        self.quantizer = LookupFreeQuantizer(bits)
        self.decoder = LookupFreeDecoder(bits, base_channels, multipliers, num_blocks)
        self.stride = int(2 ** (len(multipliers) - 1))
        self.codebook_sizes = (int(2**bits),)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, images: Tensor) -> Tensor:
        """Return the continuous features before quantization."""
        check_images(images, self.stride)
        return self.encoder(to_channels_last(like_weights(images, self.encoder.conv_in.weight)))  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Turn images into tokens."""
        return self.quantizer(self.features(images).flip(1)).indices  # type: ignore[no-any-return]

    def codes(self, tokens: Tensor) -> Tensor:
        """Return the codes of tokens."""
        check_shape(tokens, ("B", "h", "w"), "tokens")
        return self.quantizer.indices_to_codes(tokens).flip(1)  # the quantizer has the highest bit in front

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Turn codes into images, not clamped; gradients pass."""
        if codes.shape[2:].numel() < 2:
            raise ValueError(f"codes: expected two tokens of an image at least, got shape {tuple(codes.shape)}")
        return self.decoder(codes.to(self.decoder.conv_in.weight.dtype))  # type: ignore[no-any-return]

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Turn tokens into float32 images, clamped to [-1, 1]."""
        return self.decode_codes(self.codes(tokens)).float().clamp(-1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return images through their codes."""
        return self.decode_codes(self.quantizer(self.features(images)).quantized)


def _level(in_channels: int, out_channels: int, num_blocks: int) -> nn.Sequential:
    widths = [in_channels, *[out_channels] * (num_blocks - 1)]
    return nn.Sequential(*(ResidualBlock(width, out_channels, bias=False) for width in widths))
