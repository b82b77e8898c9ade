"""The convolutional encoder and decoder of VQGAN ("VQ-16" at full size)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with 32 groups, or as many as divide a narrower layer into at least 4 channels each."""
    groups = 32
    while channels % groups or channels // groups < min(4, channels):
        groups //= 2
    return nn.GroupNorm(groups, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Twice normalise, swish, convolve; 1x1 shortcut where the width changes. ``(B, C, H, W) -> (B, C_out, H, W)``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shortcut plus the two convolutions."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
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
        q, k, v = rearrange(self.qkv(self.norm(x)), "b (three c) h w -> three b 1 (h w) c", three=3)
        attended = F.scaled_dot_product_attention(q, k, v)
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


def _level(in_channels: int, out_channels: int, num_blocks: int, *, attention: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(num_blocks):
        layers.append(ResidualBlock(in_channels if index == 0 else out_channels, out_channels))
        if attention:
            layers.append(AttentionBlock(out_channels))
    return nn.Sequential(*layers)


def _middle(channels: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(channels, channels), AttentionBlock(channels), ResidualBlock(channels, channels))


class Encoder(nn.Module):
    """Images to features, up to and including the middle blocks. ``(B, image_channels, H, W) -> (B, C, H / f, W / f)``.

    Args:
        image_channels: 1 or 3.
        base_channels: Width at full resolution.
        multipliers: Width of each level as a multiple of it; each level but the last halves the resolution.
        num_blocks: Residual blocks a level. Attention follows each at the last level only.
    """

    def __init__(self, image_channels: int, base_channels: int, multipliers: Sequence[int], num_blocks: int) -> None:
        super().__init__()
        widths = [base_channels * m for m in multipliers]
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

    def forward(self, images: Tensor) -> Tensor:
        """Encode images."""
        return self.middle(self.levels(self.conv_in(images)))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Features to images. ``(B, in_channels, h, w) -> (B, image_channels, h f, w f)``.

    Arguments as for :class:`Encoder`; each level has one block more.
    """

    def __init__(
        self, in_channels: int, image_channels: int, base_channels: int, multipliers: Sequence[int], num_blocks: int
    ) -> None:
        super().__init__()
        widths = [base_channels * m for m in reversed(multipliers)]
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
        h = self.levels(self.middle(self.conv_in(features)))
        return self.conv_out(F.silu(self.norm_out(h)))  # type: ignore[no-any-return]


def to_channels_last(images: Tensor) -> Tensor:
    """The memory format in which convolutions are fastest on CPUs and tensor cores."""
    return images.contiguous(memory_format=torch.channels_last)
