"""The AlexNet stages that the published LPIPS reads in its AlexNet version."""

from collections.abc import Sequence

from torch import Tensor, nn

from vistok.losses._feature_stages import feature_stages

_SMALLEST = 31  # pixels that leave one position after the second pool


class AlexNetFeatures(nn.Module):
    r"""The five activations relu1 to relu5 of AlexNet.

    Layers carry the index they have in the usual ``features`` sequence, so a released state dict loads with
    ``model.load_state_dict({k: v for k, v in weights.items() if k.startswith("features.")})``. Nothing is downloaded
    here: until then the weights are random.

    Source:
        Krizhevsky 2014, arXiv:1404.5997, the network of one tower (as torchvision has it).

    Shape:
        - images: ``(B, 3, H, W)`` with sides of at least 31.
        - features: five maps of 64, 192, 384, 256 and 256 channels, the first at a quarter of the sides.

    Range:
        ``[0, inf)``.

    Gradient:
        Flows to images and weights.

    Raises:
        ValueError: Images are not ``(B, 3, H, W)`` or a side is below 31.
        TypeError: Images are not a dense floating point tensor.

    Example:
        >>> import torch
        >>> [tuple(map.shape[1:]) for map in AlexNetFeatures()(torch.zeros(1, 3, 64, 64))]
        [(64, 15, 15), (192, 7, 7), (384, 3, 3), (256, 3, 3), (256, 3, 3)]
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU()),
            *(nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
            *(nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        )
        self.ends = (2, 5, 8, 10, 12)
        self.widths = (64, 192, 384, 256, 256)

    def forward(self, images: Tensor) -> Sequence[Tensor]:
        """Return the five feature maps of ``images``."""
        return feature_stages(self.features, self.ends, images, _SMALLEST)
