"""The dtype in which images meet weights."""

import torch
from torch import Tensor


def like_weights(images: Tensor, weights: Tensor) -> Tensor:
    """Images in the dtype of the weights that they meet; as they are where autocast casts them, all but float64."""
    if images.dtype == weights.dtype:
        return images
    if images.dtype != torch.float64 and not images.is_meta and torch.is_autocast_enabled(images.device.type):
        return images
    return images.to(weights.dtype)
