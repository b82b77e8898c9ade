"""What a network gives of images, in the form that every distribution metric takes."""

from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vistok.metrics.networks.feature_backbone import LITE0, FeatureBackbone
from vistok.metrics.pixels import from_uint8


class Features(NamedTuple):
    """What a network sees in images; what it does not give is ``None``.

    Attributes:
        pooled: One vector an image, as Frechet distances, precision and recall take it.
        spatial: A feature map an image, flattened: what tells where things are, as sFID takes it.
        probabilities: Of each class, as Inception Score takes them.

    Shape:
        - pooled: ``(B, D)``, float32.
        - spatial: ``(B, S)``, float32.
        - probabilities: ``(B, K)``, float32; each row sums to 1.
    """

    pooled: Tensor
    spatial: Tensor | None = None
    probabilities: Tensor | None = None


class FeatureNetwork(Protocol):
    """Any network that images are compared in: a call on 8-bit pixels, and what is to be said beside its numbers.

    Shape:
        - images: ``(B, 1 or 3, H, W)``, uint8, on any device.
        - features: on the network's device, without a gradient.
    """

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def preprocessing(self) -> str:
        """One line: how images are brought to the network (size, filter, range)."""

    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the weights in use."""

    def __call__(self, images: Tensor) -> Features:
        """What the network sees in images."""


class BackboneFeatures:
    """A :class:`vistok.metrics.FeatureBackbone` as a network that images are compared in; it gives ``pooled`` alone.

    Args:
        backbone: The network; its device is used.
        image_size: Pixels a side that it sees; ``None`` leaves images as they are. Both sides of a comparison need the
            same.

    Shape:
        - images: ``(B, 1 or 3, H, W)``, uint8.
        - pooled: ``(B, backbone.dim)``, float32.

    Raises:
        TypeError: Images are not uint8.
        ValueError: Images are not ``(B, 1 or 3, H, W)``, or ``image_size`` is below 1 (at construction).

    Example:
        >>> network = BackboneFeatures(FeatureBackbone())
        >>> network.name, network(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).pooled.shape
        ('Lite0', torch.Size([2, 1280]))
    """

    def __init__(self, backbone: FeatureBackbone, image_size: int | None = 128) -> None:
        if image_size is not None and image_size < 1:
            raise ValueError(f"image_size: expected at least 1 pixel a side, got {image_size}")
        self.backbone, self.image_size = backbone, image_size
        packaged = backbone.name == LITE0 and backbone.weights is None
        file = "" if backbone.weights is None else f" ({Path(backbone.weights).name})"
        #: What reports call it: ``"Lite0"``, or timm's name with that of the weights' file where one was given.
        self.name = "Lite0" if packaged else backbone.name + file
        size = "at their own size" if image_size is None else f"to {image_size} x {image_size} pixels"
        filtering = "" if image_size is None else ", bicubic (torch, antialiased where it shrinks)"
        self.preprocessing = f"{size}{filtering}, then the channels' mean and deviation of its training"

    def fingerprint(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the weights in use."""
        return self.backbone.fingerprint()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """The pooled features of images."""
        check_8_bit(images)
        images = from_uint8(images.to(self.backbone.mean.device))
        return Features(self.backbone.pooled(images, image_size=self.image_size))


def check_8_bit(images: Tensor) -> None:
    """Raise unless images are ``(B, 1 or 3, H, W)`` and uint8: rounded once, as if they were read from a file."""
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8, got {images.dtype}; vistok.metrics.to_uint8 rounds them")
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be (B, 1 or 3, H, W), got {tuple(images.shape)}")
