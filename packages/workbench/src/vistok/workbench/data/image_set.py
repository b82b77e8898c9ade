"""What a data set of equally sized images is, and one that is held in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vistok.metrics import from_uint8
from vistok.workbench.data.resize import random_crop


class Images(Protocol):
    """What sets in memory and lazy ones share, and all that training and evaluation use."""

    @property
    def name(self) -> str:
        """What reports call the data set."""

    @property
    def labels(self) -> Tensor:
        """``(N,)``, int64, indices into ``class_names``."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name a class."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of the unreadable images met so far."""

    @property
    def attribution(self) -> str:
        """Who made the images, and under which licence, where pages that show them must say so; else empty."""

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""

    @property
    def image_size(self) -> int:
        """Pixels a side."""

    def __len__(self) -> int: ...

    def pixels(self, indices: Tensor | Sequence[int], crops: Tensor | None = None) -> Tensor:
        """Images ``(B, C, H, W)`` of these indices, uint8.

        ``crops (B, k)`` in ``[0, 1)`` cut a part of each image in place of its centre, where the set was loaded for
        it: :func:`vistok.workbench.data.resize.random_crop` with 3 numbers an image, or
        :func:`vistok.workbench.data.resized_crop.resized_crop` with its 22.
        """

    def batch(self, indices: Tensor | Sequence[int], crops: Tensor | None = None) -> Tensor:
        """The same in ``[-1, 1]``, float32."""


def at_a_time(image_size: int) -> int:
    """How many images a network encodes, decodes or judges at a time: 100, and of over 128 pixels a side fewer.

    At most as many pixels as 100 images of 128 have (128 channels: 839 MB in float32), and a number that divides 100.

    Args:
        image_size: Pixels a side.

    Example:
        >>> [at_a_time(size) for size in (32, 128, 256, 512, 2048)]
        [100, 100, 25, 5, 1]
    """
    most = 100 * 128**2 // image_size**2
    return next((number for number in (100, 50, 25, 20, 10, 5, 4, 2) if number <= most), 1)


@dataclass(frozen=True)
class ImageSet:
    """Images held in memory as 8-bit pixels.

    Args:
        images: ``(N, C, H, W)``, uint8, square.
        labels: ``(N,)``, int64, indices into ``class_names``.
        class_names: One name a class.
        name: What reports call the data set.
        skipped: Names of the images that could not be read and are not in ``images``.
        uncropped: More of each image, ``(C, H', W')`` uint8, for random crops; ``None`` where there is no more.
        attribution: As in :class:`Images`.
        crop: Cuts the part of ``uncropped`` that is shown.

    Shape:
        - ``pixels(indices)``: ``(B, C, H, W)``, uint8; ``batch(indices)``: the same, float32.

    Range:
        ``batch`` gives ``pixel / 127.5 - 1``, in ``[-1, 1]``.

    Raises:
        ValueError: Images are not square uint8 ``(N, C, H, W)``, or labels do not fit them or the class names.

    Example:
        >>> pixels = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
        >>> digits = ImageSet(pixels, torch.tensor([0, 1]), ("black", "white"), "two pixels")
        >>> digits.batch([1, 0]).flatten().tolist()
        [1.0, -1.0]
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    name: str
    skipped: tuple[str, ...] = ()
    uncropped: tuple[Tensor, ...] | None = None
    attribution: str = ""
    crop: Callable[[Tensor, int, Sequence[float]], Tensor] = random_crop

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or len(shape) != 4 or shape[2] != shape[3]:
            raise ValueError(f"images must be square uint8 (N, C, H, W), got {self.images.dtype} {shape}")
        if self.labels.dtype != torch.int64 or tuple(self.labels.shape) != shape[:1]:
            raise ValueError(f"labels must be int64 ({shape[0]},), got {self.labels.dtype} {tuple(self.labels.shape)}")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names):
            raise ValueError(f"labels must be 0 to {len(self.class_names) - 1}, got up to {int(self.labels.max())}")

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return self.images.shape[1]

    @property
    def image_size(self) -> int:
        """Pixels a side."""
        return self.images.shape[2]

    def __len__(self) -> int:
        return len(self.images)

    def pixels(self, indices: Tensor | Sequence[int], crops: Tensor | None = None) -> Tensor:
        """As :meth:`Images.pixels`."""
        wanted = torch.as_tensor(indices, dtype=torch.int64)
        if crops is None or self.uncropped is None:
            return self.images[wanted]
        pairs = zip(wanted.tolist(), crops.tolist(), strict=True)
        return torch.stack([self.crop(self.uncropped[i], self.image_size, draw) for i, draw in pairs])

    def batch(self, indices: Tensor | Sequence[int], crops: Tensor | None = None) -> Tensor:
        """As :meth:`Images.batch`."""
        return from_uint8(self.pixels(indices, crops))
