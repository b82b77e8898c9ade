"""The perceptual term: the distance of two images in the features of a backbone, or LPIPS with weights from files."""

from torch import Tensor, nn

from vistok.losses import LPIPS, PerceptualLoss
from vistok.metrics import FeatureBackbone
from vistok.workbench.backbones.weights import read_weights
from vistok.workbench.config import ConfigError
from vistok.workbench.recipe_config import PerceptualConfig


class PerceptualTerm(nn.Module):
    """The mean distance that the configuration names, of images in [-1, 1] with one channel or three."""

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()
        self.distance = read_lpips(config) if config.perceptual == "lpips" else PerceptualLoss(backbone(config))

    def forward(self, reconstruction: Tensor, images: Tensor) -> Tensor:
        """The distance, with a gradient to ``reconstruction``."""
        distance: Tensor = self.distance(*(x.float().expand(-1, 3, -1, -1) for x in (reconstruction, images)))
        return distance


def backbone(config: PerceptualConfig) -> FeatureBackbone:
    """The network whose first stages are compared."""
    name, weights = config.perceptual_backbone, config.perceptual_weights
    return FeatureBackbone(name, weights=weights, num_stages=config.perceptual_stages)


def read_lpips(config: PerceptualConfig) -> LPIPS:
    """LPIPS from files; raises :class:`ConfigError` where one cannot be read or holds something else."""
    network, heads = str(config.perceptual_weights), config.perceptual_heads
    try:
        return LPIPS.from_weights(read_weights(network), read_weights(heads) if heads else None)
    except ValueError as error:
        raise ConfigError(f"perceptual_heads {heads}, perceptual_weights {network}: {error}") from error
