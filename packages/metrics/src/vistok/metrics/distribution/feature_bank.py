"""Features of a stream of images, all of them or a sample that no order changes."""

import torch
from torch import Tensor

from vistok.metrics.distribution._image_keys import check_indices, image_keys
from vistok.metrics.streaming import GatheringMetric


class FeatureBank(GatheringMetric):
    """Keeps features for measures that need them and no sums: neighbours, kernels, resamples.

    All of them: 50,000 images of 2,048 features take 400 MB, 200 in float16. With ``capacity``, a uniform random sample
    of so many images, which depends on their numbers and ``seed`` alone: memory is bounded, and the same images are
    kept however they were divided. Say what you kept beside the figure: its own count, and float16 if so.

    An image whose number was seen before is not counted again: a sampler that repeats images to fill its last batch
    does no harm.

    Args:
        dim: Number of features ``D``.
        capacity: At most this many images are kept; ``None`` keeps all.
        dtype: Features are kept as this; ``torch.float16`` halves the memory and rounds at 3 digits.
        seed: Decides the sample.

    Shape:
        - update: features ``(B, D)``; indices ``(B,)``, the number of each image in the whole set.
        - compute: ``(n, D)``, in the order of the images' numbers.

    Gradient:
        None: features are detached.

    Raises:
        ValueError: Features are not ``(B, D)`` or not finite (as ``dtype``), indices are of another length or no whole
            numbers, ``capacity`` is below 1.
        NotMeasurableError: ``compute`` before the first image.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`; ranks give the images the numbers that one process would, and an
        image that two ranks saw counts once. Equal to one process to the last digit.

    Example:
        >>> bank = FeatureBank(1, capacity=2)
        >>> bank.update(torch.arange(5.0)[:, None], torch.arange(5))
        >>> bank.compute().shape, bank.indices.tolist() == bank.compute().flatten().tolist()
        (torch.Size([2, 1]), True)
    """

    def __init__(
        self, dim: int, *, capacity: int | None = None, dtype: torch.dtype = torch.float32, seed: int = 0
    ) -> None:
        if capacity is not None and capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self.dim, self.capacity, self.dtype, self.seed = dim, capacity, dtype, seed
        super().__init__()

    def _empty(self) -> dict[str, Tensor]:
        return {
            "indices": torch.zeros(0, dtype=torch.int64),
            "features": torch.zeros(0, self.dim, dtype=self.dtype),
        }

    def update(self, features: Tensor, indices: Tensor) -> None:
        """Take in the features of a batch of images, and the images' numbers."""
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise ValueError(f"features must be (B, {self.dim}), got {tuple(features.shape)}")
        kept = features.detach().to("cpu", self.dtype)
        if not bool(torch.isfinite(kept).all()):
            raise ValueError(f"features must be finite as {self.dtype}")
        self._add({"indices": check_indices(indices, len(features)), "features": kept})

    def _condensed(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        indices, order = rows["indices"].sort(stable=True)
        first = torch.ones_like(indices, dtype=torch.bool)
        first[1:] = indices[1:] != indices[:-1]
        indices, order = indices[first], order[first]
        if self.capacity is not None and len(indices) > self.capacity:
            chosen = image_keys(indices, self.seed).argsort()[: self.capacity].sort().values
            indices, order = indices[chosen], order[chosen]
        return {"indices": indices, "features": rows["features"][order]}

    @property
    def indices(self) -> Tensor:
        """The numbers of the images that are kept, ascending."""
        return self.state_dict()["indices"]

    def compute(self) -> Tensor:
        """The features that are kept."""
        state = self.state_dict()
        self._need(len(state["indices"]), "image")
        return state["features"]
