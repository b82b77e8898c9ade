"""The convolutional encoder and decoder of MaskGIT's VQGAN and of VQGAN+: no attention, no biases in the blocks."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from vistok.tokenizers._checks import check_sizes
from vistok.tokenizers._normalisation import normalised_swish
from vistok.tokenizers.autoencoder import Downsample, Upsample, group_norm


class MaskGITBlock(nn.Module):
    """Twice normalise, swish, convolve, added to the input. ``(B, C, H, W) -> (B, C_out, H, W)``.

    Where the width changes, the 1x1 shortcut of the published networks takes what the convolutions gave, not the input:
    ``h + W h``. Their weights need it so.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = group_norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut = None if in_channels == out_channels else nn.Conv2d(out_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the two convolutions plus the input, or plus their own projection."""
        h = self.conv1(normalised_swish(x, self.norm1))
        h = self.conv2(normalised_swish(h, self.norm2))
        return h + (x if self.shortcut is None else self.shortcut(h))  # type: ignore[no-any-return]


class MaskGITEncoder(nn.Module):
    """Images to ``code_dim`` features; each level but the last halves the resolution by a convolution, as in VQGAN+."""

    def __init__(
        self, image_channels: int, code_dim: int, base_channels: int, multipliers: Sequence[int], num_blocks: int
    ) -> None:
        super().__init__()
        sizes = {"image_channels": image_channels, "base_channels": base_channels, "num_blocks": num_blocks}
        check_sizes("MaskGITEncoder", {**sizes, "code_dim": code_dim, "multipliers": multipliers})
        self.conv_in = nn.Conv2d(image_channels, base_channels, 3, padding=1, bias=False)
        levels: list[nn.Module] = []
        channels = base_channels
        for index, width in enumerate(base_channels * multiplier for multiplier in multipliers):
            levels.append(_level(channels, width, num_blocks))
            if index < len(multipliers) - 1:
                levels.append(Downsample(width))
            channels = width
        self.levels = nn.Sequential(*levels)
        self.middle = _level(channels, channels, num_blocks)
        self.norm_out = group_norm(channels)
        self.conv_out = nn.Conv2d(channels, code_dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Encode images."""
        h = self.middle(self.levels(self.conv_in(images)))
        return self.conv_out(normalised_swish(h, self.norm_out))  # type: ignore[no-any-return]


class MaskGITDecoder(nn.Module):
    """``code_dim`` features to images: the levels of :class:`MaskGITEncoder` in reverse."""

    def __init__(
        self, code_dim: int, image_channels: int, base_channels: int, multipliers: Sequence[int], num_blocks: int
    ) -> None:
        super().__init__()
        sizes = {"image_channels": image_channels, "base_channels": base_channels, "num_blocks": num_blocks}
        check_sizes("MaskGITDecoder", {**sizes, "code_dim": code_dim, "multipliers": multipliers})
        channels = base_channels * multipliers[-1]
        self.conv_in = nn.Conv2d(code_dim, channels, 3, padding=1)
        self.middle = _level(channels, channels, num_blocks)
        levels: list[nn.Module] = []
        for index, width in enumerate(base_channels * multiplier for multiplier in reversed(multipliers)):
            levels.append(_level(channels, width, num_blocks))
            if index < len(multipliers) - 1:
                levels.append(Upsample(width))
            channels = width
        self.levels = nn.Sequential(*levels)
        self.norm_out = group_norm(channels)
        self.conv_out = nn.Conv2d(channels, image_channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Decode features."""
        h = self.levels(self.middle(self.conv_in(features)))
        return self.conv_out(normalised_swish(h, self.norm_out))  # type: ignore[no-any-return]


def _level(in_channels: int, out_channels: int, num_blocks: int) -> nn.Sequential:
    widths = [in_channels, *[out_channels] * num_blocks]
    return nn.Sequential(*(MaskGITBlock(before, after) for before, after in pairwise(widths)))
