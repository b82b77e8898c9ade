"""The pictures that an evaluation shows: those that were reconstructed worst and best."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.reconstruction.psnr import psnr
from vistok.metrics.streaming import StreamingMetric


class Shown(NamedTuple):
    """Some images of an evaluation beside their reconstructions.

    Attributes:
        indices: Which they are, ``(n,)`` int64.
        psnr: Of each, ``(n,)`` float64.
        originals: ``(n, C, H, W)``, uint8.
        reconstructions: The same shape.
    """

    indices: Tensor
    psnr: Tensor
    originals: Tensor
    reconstructions: Tensor


class Gallery(StreamingMetric):
    """The images of a stream with the lowest and with the highest PSNR, in that order; equal ones by their index.

    Args:
        shape: Of an image, ``(C, H, W)``.
        count: How many at each end.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`: the same pictures, however the images were divided.

    Example:
        >>> gallery = Gallery((1, 1, 1), count=1)
        >>> originals = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1, 1)
        >>> gallery.update(torch.arange(3), originals, torch.full_like(originals, 10))
        >>> gallery.worst().indices.tolist(), gallery.best().indices.tolist()
        ([2], [0])
    """

    def __init__(self, shape: Sequence[int], *, count: int = 8) -> None:
        self.shape, self.size = tuple(shape), count
        super().__init__()

    def _empty(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = {}
        for end in ("worst", "best"):
            state[f"{end}_index"] = torch.full((self.size,), -1)
            state[f"{end}_psnr"] = torch.zeros(self.size, dtype=torch.float64)
            state[f"{end}_pictures"] = torch.zeros((self.size, 2, *self.shape), dtype=torch.uint8)
        return state

    def update(self, indices: Tensor, originals: Tensor, reconstructions: Tensor) -> None:
        """Take in a batch: which images they are, and both sides, uint8."""
        values = psnr(reconstructions, originals)
        pictures = torch.stack([originals, reconstructions], dim=1)
        self._add(
            {
                f"{end}_{name}": part
                for end in ("worst", "best")
                for name, part in (("index", indices), ("psnr", values), ("pictures", pictures))
            }
        )

    def _add(self, state: Mapping[str, Tensor]) -> None:
        for end, sign in (("worst", 1.0), ("best", -1.0)):
            names = [f"{end}_{part}" for part in ("index", "psnr", "pictures")]
            index, values, pictures = (torch.cat([self._state[name], state[name]]) for name in names)
            seen = index >= 0
            order = sorted(seen.nonzero().flatten().tolist(), key=lambda i: (sign * float(values[i]), int(index[i])))
            kept = torch.tensor(order[: self.size], dtype=torch.int64)
            fresh = self._empty()
            for name, whole in zip(names, (index, values, pictures), strict=True):
                fresh[name][: len(kept)] = whole[kept]
                self._state[name] = fresh[name]

    def worst(self) -> Shown:
        """Those with the lowest PSNR, the lowest first."""
        return self._shown("worst")

    def best(self) -> Shown:
        """Those with the highest PSNR, the highest first."""
        return self._shown("best")

    def compute(self) -> tuple[Shown, Shown]:
        """Both ends."""
        return self.worst(), self.best()

    def _shown(self, end: str) -> Shown:
        seen = self._state[f"{end}_index"] >= 0
        pictures = self._state[f"{end}_pictures"][seen]
        return Shown(
            self._state[f"{end}_index"][seen], self._state[f"{end}_psnr"][seen], pictures[:, 0], pictures[:, 1]
        )
