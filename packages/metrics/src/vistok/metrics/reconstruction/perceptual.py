"""Distance between images in the features of a pretrained network."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vistok.metrics.streaming import MeanOfImages

_EPSILON = 1e-10


@torch.no_grad()
def perceptual_distance(
    network: Callable[[Tensor], Sequence[Tensor]],
    images: Tensor,
    references: Tensor,
    *,
    batch_size: int = 64,
) -> Tensor:
    """Distance in a network's features of each image, ``(B,)`` float32; see :class:`PerceptualDistance`."""
    if images.shape != references.shape:
        shapes = f"{tuple(images.shape)} and {tuple(references.shape)}"
        raise ValueError(f"images and references must have the same shape, got {shapes}")
    if not len(images):
        raise ValueError("images must hold at least one image, got none")
    distances = []
    for start in range(0, len(images), batch_size):
        ours, theirs = (network(side[start : start + batch_size]) for side in (images, references))
        distances.append(_stage_mean(ours, theirs))
    return torch.cat(distances).cpu()


class PerceptualDistance(MeanOfImages):
    r"""Mean squared distance of channel-normalised features, over all stages and positions, averaged over images.

    .. math::
        d(x, y) = \frac{1}{S} \sum_{s=1}^{S} \frac{1}{H_s W_s} \sum_{h, w}
                  \lVert u_s(x)_{hw} - u_s(y)_{hw} \rVert^2, \qquad u_s = f_s / \lVert f_s \rVert

    It has the form of LPIPS without learned weights and on another network, so it is named after the network ("Lite0
    perceptual distance") and never compared with LPIPS numbers.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Eq. 1, with all channel weights 1 and the stages averaged.

    Args:
        network: From images ``(b, C, H, W)`` to feature maps ``(b, C_s, H_s, W_s)``, one a stage; it moves them to its
            device and brings them to its size. State its name and its weights' fingerprint beside the number.
        batch_size: Images at a time; changes memory, not results.

    Shape:
        - update: images and references ``(B, C, H, W)``, in the range that the network expects.

    Range:
        ``[0, 4]``; 0 for equal images. Symmetric in its arguments.

    Gradient:
        None: this is a measurement.

    Raises:
        ValueError: Shapes differ, or the network rejects the images (the function: there are none).
        NotMeasurableError: ``compute`` before the first image.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`; every rank needs the same network.

    Example:
        >>> metric = PerceptualDistance(lambda batch: [batch])
        >>> metric.update(torch.eye(2).view(2, 2, 1, 1), torch.ones(2, 2, 1, 1))
        >>> round(metric.compute(), 4)  # 45 degrees apart: 2 - sqrt(2)
        0.5858
    """

    def __init__(self, network: Callable[[Tensor], Sequence[Tensor]], *, batch_size: int = 64) -> None:
        super().__init__()
        self.network, self.batch_size = network, batch_size

    def update(self, images: Tensor, references: Tensor) -> None:
        """Take in a batch of images and their references."""
        if len(images) or len(references):
            self.add(perceptual_distance(self.network, images, references, batch_size=self.batch_size))


def _stage_mean(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    stages = [(_unit(a) - _unit(b)).square().sum(dim=1).mean(dim=(1, 2)) for a, b in zip(ours, theirs, strict=True)]
    return torch.stack(stages).mean(dim=0)


def _unit(features: Tensor) -> Tensor:
    if features.dtype != torch.float64:
        features = features.float()  # in float16 the square of a large value, and epsilon, would be no numbers
    return features / (features.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt()
