"""The convolutional encoder and decoder of VQGAN ("VQ-16" at full size)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vistok.generators.layers.attention import attention
from vistok.tokenizers._checks import check_images, check_shape, check_sizes
from vistok.tokenizers._dtypes import like_weights
from vistok.tokenizers._normalisation import normalised, normalised_swish


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with 32 groups, or as many as divide a narrower layer into at least 4 channels each."""
    groups = 32
    while channels % groups or channels // groups < min(4, channels):
        groups //= 2
    return nn.GroupNorm(groups, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Twice normalise, swish, convolve; 1x1 shortcut where the width changes. ``(B, C, H, W) -> (B, C_out, H, W)``."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)
        self.norm2 = group_norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=bias)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shortcut plus the two convolutions."""
        h = self.conv1(normalised_swish(x, self.norm1))
        h = self.conv2(normalised_swish(h, self.norm2))
        return self.shortcut(x) + h  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """Single-head self-attention over all positions, added to its input. ``(B, C, H, W) -> (B, C, H, W)``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over all positions."""
        q, k, v = rearrange(self.qkv(normalised(x, self.norm)), "b (three c) h w -> three b 1 (h w) c", three=3)
        attended = attention(q, k, v)
        attended = rearrange(attended, "b 1 (h w) c -> b c h w", h=x.shape[-2])
        return x + self.out(attended)  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Halve the resolution: zeros on the right and bottom, then a 3x3 convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Pad and convolve."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Double the resolution: nearest neighbour, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge and convolve."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Images to features, up to and including the middle blocks.

    Source:
        Esser et al. 2021 (VQGAN), arXiv:2012.09841, its appendix on the architecture; attention at the last level only,
        as in LlamaGen, arXiv:2406.06525.

    Args:
        image_channels: 1 or 3.
        base_channels: Width at full resolution.
        multipliers: Width of each level as a multiple of it; each level but the last halves the resolution.
        num_blocks: Residual blocks a level. Attention follows each at the last level only.

    Attributes:
        out_channels: Channels of the features, ``base_channels * multipliers[-1]``.
        stride: Pixels that a feature spans along each side, ``f``.

    Shape:
        - images: ``(B, image_channels, H, W)``, sides divisible by ``f = 2 ** (len(multipliers) - 1)``; floats, brought
          to the dtype of the weights.
        - features: ``(B, out_channels, H / f, W / f)``.

    Range:
        Real: what follows normalises.

    Gradient:
        To the images and to every parameter.

    Raises:
        ValueError: There is no level, or a size is below 1 (at construction); images of other channels, or whose sides
            ``f`` does not divide (at call).
        TypeError: Images are not floats (at call).

    Example:
        >>> import torch
        >>> encoder = Encoder(3, 8, (1, 2, 2), 1)
        >>> encoder(torch.zeros(1, 3, 32, 48)).shape, encoder.out_channels
        (torch.Size([1, 16, 8, 12]), 16)
    """

    def __init__(self, image_channels: int, base_channels: int, multipliers: Sequence[int], num_blocks: int) -> None:
        super().__init__()
        sizes = {"image_channels": image_channels, "base_channels": base_channels, "num_blocks": num_blocks}
        check_sizes("Encoder", {**sizes, "multipliers": multipliers})
        widths = [base_channels * multiplier for multiplier in multipliers]
        self.conv_in = nn.Conv2d(image_channels, base_channels, 3, padding=1)
        levels: list[nn.Module] = []
        channels = base_channels
        for index, width in enumerate(widths):
            last = index == len(widths) - 1
            levels.append(_level(channels, width, num_blocks, attention=last))
            if not last:
                levels.append(Downsample(width))
            channels = width
        self.levels = nn.Sequential(*levels)
        self.middle = _middle(channels)
        self.out_channels = channels
        self.stride = int(2 ** (len(widths) - 1))

    def forward(self, images: Tensor) -> Tensor:
        """Encode images."""
        check_images(images, self.stride, self.conv_in.in_channels)
        return self.middle(self.levels(self.conv_in(like_weights(images, self.conv_in.weight))))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Features to images: the levels of :class:`Encoder` in reverse, each with one block more.

    Source:
        As for :class:`Encoder`.

    Args:
        in_channels: Channels of the features.
        image_channels: As for :class:`Encoder`.
        base_channels: As for :class:`Encoder`.
        multipliers: As for :class:`Encoder`, in the same order: the decoder begins with the last.
        num_blocks: Residual blocks a level of the encoder; a level here has one more. Attention follows each at the
            first level only, that of the lowest resolution.

    Shape:
        - features: ``(B, in_channels, h, w)``.
        - images: ``(B, image_channels, f h, f w)``, ``f = 2 ** (len(multipliers) - 1)``.

    Range:
        Real: images of [-1, 1] are learned, not enforced.

    Gradient:
        To the features and to every parameter.

    Raises:
        ValueError: There is no level, or a size is below 1 (at construction); features of other channels (at call).

    Example:
        >>> import torch
        >>> Decoder(4, 3, 8, (1, 2, 2), 1)(torch.zeros(1, 4, 8, 12)).shape
        torch.Size([1, 3, 32, 48])
    """

    def __init__(
        self, in_channels: int, image_channels: int, base_channels: int, multipliers: Sequence[int], num_blocks: int
    ) -> None:
        super().__init__()
        sizes = {"image_channels": image_channels, "base_channels": base_channels, "num_blocks": num_blocks}
        check_sizes("Decoder", {"in_channels": in_channels, **sizes, "multipliers": multipliers})
        widths = [base_channels * multiplier for multiplier in reversed(multipliers)]
        self.conv_in = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.middle = _middle(widths[0])
        levels: list[nn.Module] = []
        channels = widths[0]
        for index, width in enumerate(widths):
            levels.append(_level(channels, width, num_blocks + 1, attention=index == 0))
            if index < len(widths) - 1:
                levels.append(Upsample(width))
            channels = width
        self.levels = nn.Sequential(*levels)
        self.norm_out = group_norm(channels)
        self.conv_out = nn.Conv2d(channels, image_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Decode features."""
        check_shape(features, ("B", self.conv_in.in_channels, "h", "w"), "features")
        h = self.levels(self.middle(self.conv_in(features)))
        return self.conv_out(normalised_swish(h, self.norm_out))  # type: ignore[no-any-return]


def to_channels_last(images: Tensor) -> Tensor:
    """The memory format in which convolutions are fastest on CPUs and tensor cores.

    Args:
        images: ``(B, C, H, W)``; what already lies so is returned as it is.

    Example:
        >>> import torch
        >>> to_channels_last(torch.zeros(2, 3, 4, 4)).stride()
        (48, 1, 12, 3)
    """
    return images.contiguous(memory_format=torch.channels_last)


def _level(in_channels: int, out_channels: int, num_blocks: int, *, attention: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(num_blocks):
        layers.append(ResidualBlock(in_channels if index == 0 else out_channels, out_channels))
        if attention:
            layers.append(AttentionBlock(out_channels))
    return nn.Sequential(*layers)


def _middle(channels: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(channels, channels), AttentionBlock(channels), ResidualBlock(channels, channels))
