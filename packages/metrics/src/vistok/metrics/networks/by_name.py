"""Feature networks by name, as commands and configurations call them."""

from pathlib import Path

import torch

from vistok.metrics.networks.feature_backbone import FeatureBackbone
from vistok.metrics.networks.features import BackboneFeatures, FeatureNetwork
from vistok.metrics.networks.inception import InceptionFeatures

INCEPTION = "inception"


def open_network(
    name: str, *, weights: str | Path | None = None, image_size: int = 128, device: str | torch.device = "cpu"
) -> FeatureNetwork:
    """A network of :class:`FeatureNetwork`'s kind.

    Args:
        name: ``"inception"`` (torch-fidelity's, which numbers called FID are measured in), ``"lite0"``, or a timm name.
        weights: A local file; by default the packaged ones (lite0) or the network's own download.
        image_size: Pixels a side that lite0 and timm's networks see; Inception has its own resizing.
        device: Where it runs.

    Raises:
        ValueError: There is no such network, or its package or its weights cannot be had; one line.

    Example:
        >>> open_network("lite0").name
        'Lite0'
    """
    if name == INCEPTION:
        return InceptionFeatures(weights, device=device)
    return BackboneFeatures(FeatureBackbone(name, weights=weights).to(device), image_size)
