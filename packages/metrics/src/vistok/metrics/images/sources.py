"""Where the images of an evaluation come from: one call for folders, archives, tensors and data sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from torch import Tensor


class ImageSource(Protocol):
    """Equally sized 8-bit images that are read a batch at a time."""

    @property
    def names(self) -> Sequence[str]:
        """One name an image, all different: paths below a folder, else positions."""

    @property
    def classes(self) -> Sequence[str] | None:
        """The class of each image where the source has classes."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Images of these indices, ``(B, 3 or 1, H, W)``, uint8."""

    def describe(self) -> dict[str, str]:
        """Every choice that moves a number: source, count, size, crop, filter, a hash of what was read."""


def open_images(
    source: "str | Path | Tensor | ImageSource", *, image_size: int | None = None, crop: str = "none"
) -> ImageSource:
    """Open images of any kind without reading them all."""
    raise NotImplementedError
