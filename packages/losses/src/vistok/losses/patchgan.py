"""The discriminator that scores overlapping patches."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.losses._checks import check_choice, check_features

PatchNorm = Literal["batch", "group", "none"]
_NORMS = ("batch", "group", "none")


class _GroupNorm(nn.GroupNorm):
    """In float32 on CPUs, whose kernel for bfloat16 channels-last images is up to 8 times slower."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and x.dtype == torch.bfloat16:
            normalised = F.group_norm(x.float(), self.num_groups, self.weight.float(), self.bias.float(), self.eps)
            return normalised.to(x.dtype)
        return super().forward(x)


def _normalisation(norm: PatchNorm, channels: int) -> list[nn.Module]:
    if norm == "batch":
        return [nn.BatchNorm2d(channels)]
    if norm == "group":
        groups = max(g for g in range(1, min(32, channels) + 1) if channels % g == 0)
        return [_GroupNorm(groups, channels)]
    return []


@torch.no_grad()
def _initialise(module: nn.Module, generator: torch.Generator | None) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.normal_(0.0, 0.02, generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.normal_(1.0, 0.02, generator=generator)


class PatchGANDiscriminator(nn.Module):
    r"""Convolutions that give one logit for each overlapping patch of an image.

    4x4 convolutions: ``num_layers`` with stride 2, one with stride 1, and one to a single channel. Widths are
    ``base_width`` times 1, 2, 4, 8, 8, ...; leaky ReLU 0.2; no normalisation on the first and the last layer. With
    three layers a logit sees 70x70 pixels.

    Source:
        Isola et al. 2017, arXiv:1611.07004, Section 3.2.2 and Appendix 6.1.2. Weights start as N(0, 0.02).

    Args:
        in_channels: Channels of the image.
        base_width: Channels of the first layer.
        num_layers: Layers with stride 2, at least 1.
        norm: ``"batch"`` (as published), ``"group"`` (same for every batch size and rank) or ``"none"``.
        generator: Source of the random initial weights; torch's global one by default.

    Shape:
        - images: ``(B, in_channels, H, W)``, both sides at least ``smallest_side``.
        - logits: ``(B, 1, h, w)``; with three layers 256 gives 30, 64 gives 6.

    Range:
        All numbers.

    Gradient:
        Flows to the images and the weights.

    Raises:
        ValueError: A size is below 1, ``norm`` is unknown, or the image has the wrong channels or is too small.
        TypeError: The image is not a dense floating point tensor.

    Distributed:
        No collectives of its own. ``"batch"`` normalises over the local batch; convert with
        ``torch.nn.SyncBatchNorm`` or use ``"group"``.

    Example:
        >>> import torch
        >>> discriminator = PatchGANDiscriminator(in_channels=3, base_width=8, num_layers=2, norm="group")
        >>> discriminator(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 1, 6, 6])
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_width: int = 64,
        num_layers: int = 3,
        *,
        norm: PatchNorm = "batch",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_choice("norm", norm, _NORMS)
        for name, size in (("in_channels", in_channels), ("base_width", base_width), ("num_layers", num_layers)):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, got {size}")
        self.in_channels = in_channels
        self.smallest_side = 2 ** (num_layers + 1) + 2**num_layers
        layers: list[nn.Module] = [nn.Conv2d(in_channels, base_width, 4, 2, 1), nn.LeakyReLU(0.2)]
        width = base_width
        for level in range(1, num_layers + 1):
            previous, width = width, base_width * min(2**level, 8)
            stride = 2 if level < num_layers else 1
            layers.append(nn.Conv2d(previous, width, 4, stride, 1, bias=norm != "batch"))
            layers += [*_normalisation(norm, width), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(width, 1, 4, 1, 1))
        self.layers = nn.Sequential(*layers)
        _initialise(self, generator)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of all patches of ``images``."""
        check_features("images", images)
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(f"images must have shape (B, {self.in_channels}, H, W), got {tuple(images.shape)}")
        if min(images.shape[2:]) < self.smallest_side:
            raise ValueError(
                f"images must have sides of at least {self.smallest_side}, got {images.shape[2]}x{images.shape[3]}"
            )
        logits: Tensor = self.layers(images)
        return logits
