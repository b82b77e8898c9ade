"""What a network gives of images, in the form that every distribution metric takes."""

from typing import NamedTuple, Protocol

from torch import Tensor


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
