"""Images decoded each time they are asked for, where a data set does not fit in memory."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from vistok.metrics import from_uint8
from vistok.workbench.data._streams import Shards
from vistok.workbench.data.image_set import ImageSet
from vistok.workbench.data.resize import random_crop
from vistok.workbench.progress import progress

logger = logging.getLogger(__name__)

_DECODING_THREADS = 4
_DECODED_AT_A_TIME = 256  # while a set is read, more of its images would wait in memory twice


class LazyImageSet:
    """Images decoded each time they are asked for, for data sets that do not fit in memory.

    An image that turns out to be unreadable is replaced by the next readable one of the set (under its own label still:
    :meth:`batch` knows no labels), and named in ``skipped``.

    Args:
        decode: Gives the pixels ``(3, H, W)`` (uint8) of one index, or raises ValueError when it cannot be read.
        item_name: Gives the name of one index, for messages.
        labels: ``(N,)``, int64.
        class_names: One name a class.
        name: What reports call the data set.
        image_size: Pixels a side.
        max_unreadable: Unreadable images accepted before an error.
        decode_uncropped: As ``decode``, but more of the image ``(3, H', W')``, for random crops; ``None`` without.

    Shape:
        - ``pixels(indices)``: ``(B, 3, H, W)``, uint8; ``batch(indices)``: the same, float32.

    Range:
        As :class:`ImageSet`; equal to it for the same files.

    Raises:
        ValueError: From :meth:`batch` and :meth:`in_memory`, when more than ``max_unreadable`` images, or all, could
            not be read.

    Example:
        >>> white = torch.full((3, 2, 2), 255, dtype=torch.uint8)
        >>> lazy = LazyImageSet(
        ...     lambda index: white,
        ...     str,
        ...     labels=torch.zeros(4, dtype=torch.int64),
        ...     class_names=("all",),
        ...     name="four white images",
        ...     image_size=2,
        ...     max_unreadable=0,
        ... )
        >>> len(lazy), lazy.batch([3]).shape, lazy.in_memory().images.shape
        (4, torch.Size([1, 3, 2, 2]), torch.Size([4, 3, 2, 2]))
    """

    channels = 3
    #: As in :class:`Images`; set it where the images have one.
    attribution = ""
    #: Cuts the part of an uncropped image that is shown; set another where wanted.
    crop: Callable[[Tensor, int, Sequence[float]], Tensor] = staticmethod(random_crop)
    #: Processes that decode for a training (:func:`load_batches`); 0: threads of its own. Set it where wanted.
    workers = 0
    #: The shards that hold them, one after another, where they are fetched as they are needed. Set it where they are.
    shards: Shards | None = None

    def __init__(
        self,
        decode: Callable[[int], Tensor],
        item_name: Callable[[int], str],
        *,
        labels: Tensor,
        class_names: tuple[str, ...],
        name: str,
        image_size: int,
        max_unreadable: int,
        decode_uncropped: Callable[[int], Tensor] | None = None,
    ) -> None:
        self.labels, self.class_names, self.name, self.image_size = labels, class_names, name, image_size
        self._item_name, self._max_unreadable = item_name, max_unreadable
        self._decode, self._decode_uncropped = decode, decode_uncropped
        self._unreadable: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of the unreadable images met so far."""
        return tuple(self._unreadable[index] for index in sorted(self._unreadable))

    @property
    def unreadable(self) -> Mapping[int, str]:
        """Names of the unreadable images met so far, by index."""
        return self._unreadable

    def pixels(self, indices: Tensor | Sequence[int], crops: Tensor | None = None) -> Tensor:
        """As :meth:`Images.pixels`."""
        wanted = torch.as_tensor(indices, dtype=torch.int64).tolist()
        uncropped = self._decode_uncropped if crops is not None else None
        if get_worker_info():  # workers are as many as there are cores
            pixels = [self._next_readable(index, uncropped or self._decode) for index in wanted]
        else:
            with ThreadPoolExecutor(_DECODING_THREADS) as pool:
                pixels = list(pool.map(lambda index: self._next_readable(index, uncropped or self._decode), wanted))
        if uncropped is not None and crops is not None:
            pixels = [
                self.crop(image, self.image_size, draw) for image, draw in zip(pixels, crops.tolist(), strict=True)
            ]
        return torch.stack(pixels)

    def batch(self, indices: Tensor | Sequence[int], crops: Tensor | None = None) -> Tensor:
        """As :meth:`Images.batch`."""
        return from_uint8(self.pixels(indices, crops))

    def leave_out(self, unreadable: Mapping[int, str]) -> None:
        """Take note of unreadable images, such as a copy of this set met in another process: new ones are announced.

        Args:
            unreadable: Names by index.

        Raises:
            ValueError: They are more than ``max_unreadable`` by now.
        """
        for index, name in unreadable.items():
            if index in self._unreadable:
                continue
            self._unreadable[index] = name
            if len(self._unreadable) > self._max_unreadable:
                raise ValueError(
                    f"data set {self.name!r}: more than max_unreadable={self._max_unreadable} images could not be "
                    f"read, first: {'; '.join(self.skipped[:3])}"
                )
            logger.warning("data set %s, left out: %s", self.name, name)

    def in_memory(self) -> ImageSet:
        """All readable images, decoded now and kept."""
        size = self.image_size
        images = torch.empty(len(self), self.channels, size, size, dtype=torch.uint8)
        for index, pixels in self._all_pixels(self._decode):
            images[index] = pixels
        uncropped = None if self._decode_uncropped is None else dict(self._all_pixels(self._decode_uncropped))
        readable = [index for index in range(len(self)) if index not in self._unreadable]
        if not readable:
            raise ValueError(f"data set {self.name!r} has no readable image")
        for place, index in enumerate(readable):
            if place != index:  # in place: a second copy of the data set may not fit
                images[place] = images[index]
        return ImageSet(
            images[: len(readable)],
            self.labels[readable],
            self.class_names,
            self.name,
            self.skipped,
            None if uncropped is None else tuple(uncropped[index] for index in readable),
            self.attribution,
            self.crop,
        )

    def _all_pixels(self, decode: Callable[[int], Tensor]) -> Iterator[tuple[int, Tensor]]:
        """Yield the pixels of all readable images, in order, with their indices."""
        with ThreadPoolExecutor(_DECODING_THREADS) as pool:

            def decoded() -> Iterator[tuple[int, Tensor | None]]:
                for start in range(0, len(self), _DECODED_AT_A_TIME):
                    indices = range(start, min(start + _DECODED_AT_A_TIME, len(self)))
                    yield from zip(indices, pool.map(lambda i: self._pixels(i, decode), indices), strict=True)

            for index, pixels in progress(
                decoded(), f"reading {self.name}", unit="images", total=len(self), brief=True
            ):
                if pixels is not None:
                    yield index, pixels

    def _next_readable(self, index: int, decode: Callable[[int], Tensor]) -> Tensor:
        for candidate in range(index, index + len(self)):
            pixels = self._pixels(candidate % len(self), decode)
            if pixels is not None:
                return pixels
        raise ValueError(f"data set {self.name!r} has no readable image")

    def _pixels(self, index: int, decode: Callable[[int], Tensor]) -> Tensor | None:
        """Pixels of one image, or ``None`` for an unreadable one as long as those are within the limit."""
        if index in self._unreadable:
            return None
        try:
            return decode(index)
        except ValueError as error:
            self.leave_out({index: f"{self._item_name(index)} ({error})"})
        return None
