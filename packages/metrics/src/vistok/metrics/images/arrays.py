"""Images that are arrays already, or that another object gives: the same members as a folder's."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from vistok.metrics.images.crops import Crop
from vistok.metrics.pixels import to_uint8


class ArrayImages:
    """Images behind a function that reads a batch.

    Args:
        read: From indices to images ``(B, 1 or 3, H, W)``, uint8 or in ``[-1, 1]``.
        count: How many there are.
        crop: What each image goes through.
        description: Where they come from, with what identifies them; asked for once it is written down.
        names: Names of their own, else their positions.
        classes: The class of each.

    Raises:
        ValueError: There are no images, what is read is no batch of them, or has another size than the first one.
    """

    def __init__(
        self,
        read: Callable[[Sequence[int]], Tensor],
        count: int,
        crop: Crop,
        *,
        description: Callable[[], Mapping[str, str]],
        names: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        if not count:
            raise ValueError("images must hold at least one image, got none")
        self._read, self._count, self.crop, self._description = read, count, crop, description
        self.named = names is not None
        self.names: Sequence[str] = [str(index) for index in range(count)] if names is None else names
        self.classes = classes
        self.shape: tuple[int, ...] = tuple(self._pixels([0]).shape[1:])

    def __len__(self) -> int:
        return self._count

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Images of these indices, ``(B, 3 or 1, H, W)``, uint8, on the CPU."""
        images = self._pixels(indices)
        if images.shape[1:] != self.shape:
            sizes = f"{self.shape} as the first one, got {tuple(images.shape[1:])}"
            raise ValueError(f"images: expected {sizes}; give a crop and an image_size")
        return images

    def _pixels(self, indices: Sequence[int]) -> Tensor:
        images = self._read([int(index) for index in indices])
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise ValueError(f"images must be (B, 1 or 3, H, W), got {tuple(images.shape)}")
        return self.crop.pixels(to_uint8(images).cpu())

    def describe(self) -> dict[str, str]:
        """Where they come from, what identifies them, and all that they go through."""
        origin, own = self._description(), self.crop.describe(len(self), self.shape)
        for key in ("crop", "filter"):
            parts = [part for part in (origin.get(key, "none"), own[key]) if part != "none"]
            own[key] = ", then ".join(parts) or "none"
        return {**origin, **own}
