"""Images beside their reconstructions: two sources matched by name or by position."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from vistok.metrics.images.sources import ImageSource


class ImagePairs:
    """Pairs of equally sized images, read a batch at a time."""

    names: Sequence[str]
    #: One line of what has no counterpart; empty where all have.
    unmatched: str

    def __len__(self) -> int:
        return len(self.names)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Both sides of these pairs, each ``(B, 3 or 1, H, W)``, uint8."""
        raise NotImplementedError

    def describe(self) -> dict[str, str]:
        """What both sources say, how they were matched, and what was left out."""
        raise NotImplementedError


def open_pairs(
    first: str | Path | Tensor | ImageSource,
    second: str | Path | Tensor | ImageSource,
    *,
    image_size: int | None = None,
    crop: str = "none",
) -> ImagePairs:
    """Open two sources and match their images."""
    raise NotImplementedError
