"""The VGG16 stages that the published LPIPS reads."""

from collections.abc import Sequence

from torch import Tensor, nn

from vistok.losses._feature_stages import feature_stages

_SMALLEST = 16  # pixels that leave one position after the fourth pool
# Convolutions of each stage; a 2x2 max pool stands between two stages.
_STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16Features(nn.Module):
    r"""The five activations relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3 of VGG16.

    Layers carry the index they have in the usual ``features`` sequence, so a released state dict loads with
    ``model.load_state_dict({k: v for k, v in weights.items() if k.startswith("features.")})``. Nothing is downloaded
    here: until then the weights are random.

    Source:
        Simonyan and Zisserman 2014, arXiv:1409.1556, Table 1, configuration D.

    Shape:
        - images: ``(B, 3, H, W)`` with sides of at least 16.
        - features: five maps, ``(B, 64, H, W)`` down to ``(B, 512, H / 16, W / 16)``.

    Range:
        ``[0, inf)``.

    Gradient:
        Flows to images and weights.

    Raises:
        ValueError: Images are not ``(B, 3, H, W)`` or a side is below 16.
        TypeError: Images are not a dense floating point tensor.

    Example:
        >>> import torch
        >>> [map.shape[1] for map in VGG16Features()(torch.zeros(1, 3, 16, 16))]
        [64, 128, 256, 512, 512]
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        ends: list[int] = []
        channels = 3
        for stage in _STAGES:
            if ends:
                layers.append(nn.MaxPool2d(2))
            for width in stage:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            ends.append(len(layers))
        self.features = nn.Sequential(*layers)
        self.ends = tuple(ends)
        self.widths = tuple(stage[-1] for stage in _STAGES)

    def forward(self, images: Tensor) -> Sequence[Tensor]:
        """Return the five feature maps of ``images``."""
        return feature_stages(self.features, self.ends, images, _SMALLEST)
