"""What a network sees in many images, a batch at a time; several processes divide the batches."""

from collections import deque

import torch
from torch import Tensor

from vistok.metrics import BackboneFeatures, FeatureNetwork, Features, from_uint8, perceptual_distance, to_uint8
from vistok.workbench.data.image_set import Images
from vistok.workbench.progress import progress
from vistok.workbench.run.processes import divided, process_index


@torch.no_grad()
def network_features(network: FeatureNetwork, images: Tensor | Images, *, batch_size: int = 64) -> Features:
    """Pooled features of every image and, where the network gives them, class probabilities; computed in batches.

    Every process gets those of all images.

    Args:
        network: Anything of :class:`vistok.metrics.FeatureNetwork`'s kind.
        images: A data set, or a tensor ``(N, C, H, W)``, uint8 or in ``[-1, 1]``.
        batch_size: Images at a time; changes memory, not results.

    Shape:
        - features: ``pooled (N, D)`` and ``probabilities (N, K)``, float32, on the CPU; ``spatial`` is left out.

    Raises:
        ValueError: There are no images, or the network rejects them.
    """
    if not len(images):
        raise ValueError("images must hold at least one image, got none")

    def seen(start: int) -> Features:
        stop = min(start + batch_size, len(images))
        batch = images[start:stop] if isinstance(images, Tensor) else images.batch(range(start, stop))
        found = network(to_uint8(batch))
        return Features(found.pooled.cpu(), None, None if found.probabilities is None else found.probabilities.cpu())

    starts, first = range(0, len(images), batch_size), process_index() == 0
    every = divided(starts, seen)
    parts = list(progress(every, "features", unit="batches", total=len(starts), shown=first, brief=True))
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    together = torch.cat(probabilities) if probabilities else None
    return Features(torch.cat([part.pooled for part in parts]), None, together)


class PairFeatures:
    """Features of images and of what was made of them, and the perceptual distance of both, from one pass of each.

    The stages of the two batches that were seen last are kept for :meth:`distance`.

    Args:
        network: Whose backbone is asked.
    """

    def __init__(self, network: BackboneFeatures) -> None:
        self.name, self.preprocessing, self.fingerprint = network.name, network.preprocessing, network.fingerprint
        self._backbone, self._image_size = network.backbone, network.image_size
        self._seen: deque[tuple[Tensor, list[Tensor]]] = deque(maxlen=2)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """The pooled features of 8-bit images, as the network gives them."""
        placed = from_uint8(images.to(self._backbone.mean.device))
        stages, pooled = self._backbone.stages_and_pooled(placed, image_size=self._image_size)
        self._seen.append((placed, stages))
        return Features(pooled)

    def distance(self, images: Tensor, references: Tensor) -> Tensor:
        """The perceptual distance of each pair in ``[-1, 1]``, ``(B,)``; what was not seen last takes another pass."""
        return perceptual_distance(self._stages, images, references, batch_size=len(images))

    def _stages(self, batch: Tensor) -> list[Tensor]:
        placed = batch.to(self._backbone.mean.device)
        for seen, stages in self._seen:
            if torch.equal(seen, placed):
                return stages
        return self._backbone.stages(placed, image_size=self._image_size)
