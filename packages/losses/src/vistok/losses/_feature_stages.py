"""What the networks that LPIPS reads have in common: the activations at the ends of their stages."""

from collections.abc import Sequence

from torch import Tensor, nn

from vistok.losses._checks import check_features


def feature_stages(layers: nn.Sequential, ends: Sequence[int], images: Tensor, smallest: int) -> list[Tensor]:
    """What ``layers[:end]`` gives of ``images`` for each end, in one pass; sides below ``smallest`` are refused."""
    check_features("images", images)
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < smallest:
        raise ValueError(f"images must have shape (B, 3, H, W) with sides >= {smallest}, got {tuple(images.shape)}")
    maps = []
    x, start = images, 0
    for end in ends:
        x = layers[start:end](x)
        maps.append(x)
        start = end
    return maps
