"""Features of places instead of whole images, for the distance that is published as sFID."""

from torch import Tensor


def spatial_features(maps: Tensor, *, channels: int = 7) -> Tensor:
    """The leading channels of feature maps at every position, as one vector an image, in the ADM evaluator's order.

    The Frechet distance of these is "sFID" where the maps are those of Inception's ``mixed_6/conv`` (17 by 17
    positions, so 2,023 features), and "Frechet distance on spatial features of" any other network.

    Source:
        Nash et al. 2021, arXiv:2103.03841, Section 5; seven channels as in the ADM evaluator (guided-diffusion,
        ``evaluations/evaluator.py``).

    Args:
        maps: Feature maps.
        channels: How many leading channels are taken.

    Shape:
        - maps: ``(B, C, H, W)``.
        - features: ``(B, H W channels)``, the channels of a position beside one another.

    Raises:
        ValueError: Not ``(B, C, H, W)``, or fewer channels than asked for.

    Example:
        >>> import torch
        >>> spatial_features(torch.arange(8.0).view(1, 2, 2, 2), channels=2).tolist()
        [[0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0]]
    """
    if maps.ndim != 4 or not 1 <= channels <= maps.shape[1]:
        raise ValueError(f"maps must be (B, C, H, W) with at least {channels} channels, got {tuple(maps.shape)}")
    return maps[:, :channels].permute(0, 2, 3, 1).flatten(1)
