"""Feature vectors of many images, for Frechet distances and teachers."""

import torch
from torch import Tensor
from tqdm import tqdm

from vistok.metrics import FeatureBackbone, from_uint8
from vistok.workbench.data.image_set import Images


@torch.no_grad()
def pooled_features(
    backbone: FeatureBackbone,
    images: Tensor | Images,
    *,
    image_size: int | None = 128,
    batch_size: int = 64,
) -> Tensor:
    """Pooled feature vector of every image, computed in batches.

    Args:
        backbone: The network; its device is used.
        images: A data set, or a tensor ``(N, C, H, W)``, uint8 or in ``[-1, 1]``.
        image_size: Pixels a side that the network sees (bicubic); ``None`` leaves images as they are. Both sides of a
            comparison need the same.
        batch_size: Images at a time; changes memory, not results.

    Shape:
        - features: ``(N, backbone.dim)``, float32, on the CPU.

    Raises:
        ValueError: There are no images, or the backbone rejects them.
    """
    if not len(images):
        raise ValueError("images must hold at least one image, got none")
    features = []
    for start in tqdm(range(0, len(images), batch_size), desc="features", delay=1.0, leave=False):
        stop = min(start + batch_size, len(images))
        batch = images[start:stop] if isinstance(images, Tensor) else images.batch(range(start, stop))
        batch = from_uint8(batch) if batch.dtype == torch.uint8 else batch
        features.append(backbone.pooled(batch.to(backbone.mean.device), image_size=image_size).cpu())
    return torch.cat(features)
