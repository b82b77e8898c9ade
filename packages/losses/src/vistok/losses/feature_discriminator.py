"""A discriminator of light heads over the features of a frozen network."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from vistok.losses._checks import check_features, check_maps
from vistok.losses._frozen import FrozenNetwork


class _Block(nn.Sequential):
    def __init__(self, channels: int, kernel_size: int) -> None:
        groups = max(g for g in range(1, min(32, channels) + 1) if channels % g == 0)
        super().__init__(
            spectral_norm(
                nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2, padding_mode="circular")
            ),
            nn.GroupNorm(groups, channels),
            nn.LeakyReLU(0.2),
        )


class _Head(nn.Module):
    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.enter = _Block(channels, 1)
        self.residual = _Block(channels, kernel_size)
        self.score = spectral_norm(nn.Conv1d(channels, 1, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.enter(tokens.to(next(self.parameters()).dtype))
        # Both branches have unit scale: the root keeps their sum there.
        x = (x + self.residual(x)) / math.sqrt(2.0)
        logits: Tensor = self.score(x)
        return logits.flatten(1)


class FeatureDiscriminator(nn.Module):
    r"""One small head for each feature map of a frozen network; all logits side by side.

    Each head reads a feature map as a sequence: a 1x1 convolution, a residual block with a wide circular convolution,
    and a projection to one logit a position, all with spectral normalisation.

    Source:
        Sauer et al. 2023 (StyleGAN-T), arXiv:2301.09515, Section 3.2, over self-supervised ViT features; with group
        normalisation in place of statistics of a slice of the batch, so a logit depends on its own image only.

    Args:
        network: Maps images to a sequence of feature maps ``(B, C_l, *spatial)``. Its parameters are frozen here and
            it stays in eval mode, whatever ``train()`` and ``requires_grad_()`` say to the discriminator.
        channels: ``C_l`` of each feature map.
        kernel_size: Width of the residual block's convolution, odd.

    Shape:
        - images: whatever ``network`` takes.
        - logits: ``(B, sum of positions)``, maps in the order of ``network``; in the dtype of the heads, also where
          ``network`` has another.

    Range:
        All numbers.

    Gradient:
        Flows through the frozen network to the images, and to the heads.

    Raises:
        ValueError: ``channels`` is empty or has an entry below 1, ``kernel_size`` is even or below 1, a map is
            shorter than half the kernel, or the maps do not match ``channels``.
        TypeError: The images are not a dense floating point tensor, or ``network`` gives one tensor and no list.

    Distributed:
        No collectives. In training mode each forward moves the power iteration of the spectral norm; DDP broadcasts
        these buffers.

    Example:
        >>> import torch
        >>> class TwoStages(torch.nn.Module):
        ...     def forward(self, images):
        ...         return [images, torch.nn.functional.avg_pool2d(images, 2)]
        >>> FeatureDiscriminator(TwoStages(), [3, 3])(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 80])
    """

    def __init__(self, network: nn.Module, channels: Sequence[int], *, kernel_size: int = 9) -> None:
        super().__init__()
        if not channels or min(channels) < 1:
            raise ValueError(f"channels must hold at least one entry, each at least 1, got {list(channels)}")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and at least 1, got {kernel_size}")
        self.network = FrozenNetwork(network)
        self.channels = tuple(channels)
        self.kernel_size = kernel_size
        self.heads = nn.ModuleList(_Head(width, kernel_size) for width in channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of all heads for ``images``."""
        check_features("images", images)
        features = self.network(images)
        check_maps("the output of network", features)
        widths = tuple(feature.shape[1] for feature in features)
        if widths != self.channels:
            raise ValueError(f"network must give feature maps with channels {self.channels}, got {widths}")
        logits = []
        for head, feature in zip(self.heads, features, strict=True):
            tokens = feature.flatten(2)
            if tokens.shape[2] < self.kernel_size // 2:
                raise ValueError(
                    f"feature maps must have at least {self.kernel_size // 2} positions, got {tokens.shape[2]}"
                )
            logits.append(head(tokens))
        return torch.cat(logits, dim=1)
