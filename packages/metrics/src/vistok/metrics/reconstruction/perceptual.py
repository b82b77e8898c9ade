"""Distance between images in the features of a pretrained network."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_EPSILON = 1e-10


@torch.no_grad()
def perceptual_distance(
    network: Callable[[Tensor], Sequence[Tensor]],
    images: Tensor,
    references: Tensor,
    *,
    batch_size: int = 64,
) -> Tensor:
    r"""Mean squared distance of channel-normalised features, over all stages and positions, of each image.

    .. math::
        d(x, y) = \frac{1}{S} \sum_{s=1}^{S} \frac{1}{H_s W_s} \sum_{h, w}
                  \lVert u_s(x)_{hw} - u_s(y)_{hw} \rVert^2, \qquad u_s = f_s / \lVert f_s \rVert

    A data set's distance is the mean of these values. It has the form of LPIPS without learned weights and on another
    network, so it is named after the network ("Lite0 perceptual distance") and never compared with LPIPS numbers.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Eq. 1, with all channel weights 1 and the stages averaged.

    Args:
        network: From images ``(b, C, H, W)`` to feature maps ``(b, C_s, H_s, W_s)``, one a stage; it moves them to its
            device and brings them to its size. State its name and its weights' fingerprint beside the number.
        images: In the range that the network expects.
        references: The same shape.
        batch_size: Images at a time; changes memory, not results.

    Shape:
        - images, references: ``(B, C, H, W)``.
        - distance: ``(B,)``, float32.

    Range:
        ``[0, 4]``; 0 for equal images. Symmetric in its arguments.

    Gradient:
        None: this is a measurement.

    Raises:
        ValueError: Shapes differ, there are no images, or the network rejects them.

    Example:
        >>> images = torch.linspace(-1, 1, 2 * 32 * 32).view(2, 1, 32, 32)
        >>> perceptual_distance(lambda batch: [batch, batch[..., ::2, ::2]], images, images).tolist()
        [0.0, 0.0]
    """
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


def _stage_mean(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    stages = [(_unit(a) - _unit(b)).square().sum(dim=1).mean(dim=(1, 2)) for a, b in zip(ours, theirs, strict=True)]
    return torch.stack(stages).mean(dim=0)


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt()
