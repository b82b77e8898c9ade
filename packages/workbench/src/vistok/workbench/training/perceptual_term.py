"""The perceptual term: the distance of two images in the features of a backbone, or LPIPS with weights from files."""

from collections.abc import Callable

from torch import Tensor, nn

from vistok.metrics import FeatureBackbone
from vistok.workbench.backbones.weights import read_weights
from vistok.workbench.config import ConfigError
from vistok.workbench.recipe_config import PerceptualConfig


class PerceptualTerm(nn.Module):
    """The mean distance of images in [-1, 1] with one channel or three.

    Args:
        distance: Of two batches of float32 images with three channels, as a scalar.
    """

    def __init__(self, distance: nn.Module) -> None:
        super().__init__()
        self.distance = distance

    def forward(self, reconstruction: Tensor, images: Tensor) -> Tensor:
        """The distance, with a gradient to ``reconstruction``."""
        distance: Tensor = self.distance(*(x.float().expand(-1, 3, -1, -1) for x in (reconstruction, images)))
        return distance


def perceptual_term(
    config: PerceptualConfig, of_network: Callable[[nn.Module], nn.Module], of_weights: Callable[..., nn.Module]
) -> PerceptualTerm | None:
    """The term that a configuration names; none where it has no weight.

    Args:
        config: Which network, from which files.
        of_network: Makes a distance of a backbone: ``vistok.losses.PerceptualLoss``.
        of_weights: Makes LPIPS of its network's weights and its heads': ``vistok.losses.LPIPS.from_weights``.

    Raises:
        ConfigError: A file of LPIPS cannot be read or holds something else.
    """
    if not config.perceptual_weight:
        return None
    name, weights, heads = config.perceptual_backbone, config.perceptual_weights, config.perceptual_heads
    if config.perceptual == "backbone":
        backbone = FeatureBackbone(name, weights=weights, num_stages=config.perceptual_stages)
        return PerceptualTerm(of_network(backbone))
    try:
        return PerceptualTerm(of_weights(read_weights(str(weights)), read_weights(heads) if heads else None))
    except ValueError as error:
        raise ConfigError(f"perceptual_heads {heads}, perceptual_weights {weights}: {error}") from error
