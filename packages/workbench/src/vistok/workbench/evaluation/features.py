"""What a network sees in many images, a batch at a time; several processes divide the batches."""

import torch
from torch import Tensor

from vistok.metrics import FeatureNetwork, Features, to_uint8
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
