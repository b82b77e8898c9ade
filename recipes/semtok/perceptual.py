"""The perceptual term: the distance of two images in the features of a backbone, or LPIPS with weights from files."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vistok.losses import LPIPS, VGG16Features, lpips_heads, perceptual_loss
from vistok.workbench.backbones.feature_backbone import FeatureBackbone
from vistok.workbench.backbones.weights import read_weights
from vistok.workbench.config import ConfigError
from vistok.workbench.recipe_config import PerceptualConfig


class PerceptualTerm(nn.Module):
    """The distance that the configuration names, of images in [-1, 1] with one channel or three."""

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()
        self.num_stages = config.perceptual_stages
        self.network: Any = (
            read_lpips(config)
            if config.perceptual == "lpips"
            else FeatureBackbone(config.perceptual_backbone, weights=config.perceptual_weights)
        )

    def forward(self, reconstruction: Tensor, images: Tensor) -> Tensor:
        """The mean distance over the images, with a gradient to ``reconstruction``."""
        if isinstance(self.network, LPIPS):
            distance: Tensor = self.network(*(x.float().expand(-1, 3, -1, -1) for x in (reconstruction, images)))
            return distance
        with torch.no_grad():
            target = self.network.stages(images, num_stages=self.num_stages)
        return perceptual_loss(self.network.stages(reconstruction, num_stages=self.num_stages), target)


def read_lpips(config: PerceptualConfig) -> LPIPS:
    """LPIPS from files: torchvision's VGG16, and the channel weights as they were released.

    Raises:
        ConfigError: A file cannot be read or holds something else.
    """
    network = VGG16Features()
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    widths = [map.shape[1] for map in network(torch.zeros(1, 3, 16, 16))]
    try:
        weights = read_weights(str(config.perceptual_weights))
        for name, shape in wanted.items():
            if name not in weights or weights[name].shape != shape:
                raise ConfigError(f"{config.perceptual_weights}: expected VGG16, got no {name} of {tuple(shape)}")
        network.load_state_dict({name: weights[name] for name in wanted})
        heads = lpips_heads(read_weights(config.perceptual_heads) if config.perceptual_heads else weights)
        if [len(head) for head in heads] != widths:
            raise ConfigError(f"expected heads of {widths} channels, got {[len(head) for head in heads]}")
    except ValueError as error:
        raise ConfigError(f"perceptual_weights, perceptual_heads: {error}") from error
    return LPIPS(network, heads)
