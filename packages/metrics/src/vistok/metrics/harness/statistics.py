"""Statistics of real images, measured once for all samples that are compared with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from vistok.metrics.distribution.frechet import FeatureStatistics
from vistok.metrics.distribution.reference import ReferenceStatistics
from vistok.metrics.harness.choices import of_images, of_network
from vistok.metrics.harness.evaluation import ready_folder
from vistok.metrics.harness.streamed_pass import forget_pass, streamed_pass
from vistok.metrics.images.sources import ImageSource, open_images
from vistok.metrics.networks.features import FeatureNetwork
from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.ranks import own_rank


def measure_statistics(
    images: str | Path | Tensor | ImageSource,
    network: FeatureNetwork,
    *,
    image_size: int | None = None,
    crop: str = "none",
    batch_size: int = 32,
    folder: str | Path | None = None,
) -> ReferenceStatistics:
    """Mean and covariance of a network's features over all images, in one pass.

    Args:
        images: A folder, an ``.npz``, a uint8 tensor, or any :class:`ImageSource`.
        network: What they are measured in.
        image_size: Pixels a side that images are brought to.
        crop: How, see :func:`open_images`.
        batch_size: Images at a time.
        folder: Where an unfinished pass is kept.

    Raises:
        ValueError: Images cannot be read; in one line.
        NotMeasurableError: There is one image only.
        OSError: The folder cannot be written to.

    Example:
        >>> import torch
        >>> from vistok.metrics import Features
        >>> class Mean:
        ...     name, preprocessing = "mean colour", "none"
        ...     def fingerprint(self): return "none"
        ...     def __call__(self, images): return Features(images.float().mean(dim=(2, 3)))
        >>> real = torch.tensor([1, 3], dtype=torch.uint8).view(2, 1, 1, 1)
        >>> measure_statistics(real, Mean()).features.mean.tolist()
        [2.0]
    """
    source = open_images(images, image_size=image_size, crop=crop)
    if len(source) < 2:
        raise NotMeasurableError(f"statistics need at least 2 images, got {len(source)}")
    place = ready_folder(folder)
    first = network(source.batch(range(1)))
    streams: dict[str, Any] = {"features": FeatureStatistics(first.pooled.shape[1])}
    if first.spatial is not None:
        streams["spatial"] = FeatureStatistics(first.spatial.shape[1])

    def step(indices: Sequence[int]) -> None:
        seen = network(source.batch(indices))
        streams["features"].update(seen.pooled)
        if seen.spatial is not None:
            streams["spatial"].update(seen.spatial)

    choices = {**of_images("images", source.describe()), **of_network(network)}
    streamed_pass(len(source), step, streams, batch_size=batch_size, folder=place, choices=choices)
    spatial = streams["spatial"].compute() if "spatial" in streams else None
    found = ReferenceStatistics(streams["features"].compute(), spatial)
    if place is not None and own_rank().number == 0:
        forget_pass(place)
    return found
