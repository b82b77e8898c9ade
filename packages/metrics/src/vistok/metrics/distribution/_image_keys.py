"""Random numbers of images that depend on the image's number and a seed alone, so that no order of images matters."""

import torch
from torch import Tensor

_STEP, _FIRST, _SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685


def image_keys(indices: Tensor, seed: int) -> Tensor:
    """One int64 an image, spread evenly over all 64 bits; different for different images.

    Source:
        Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", the mixing of SplitMix64.
    """
    keys = _mixed(torch.full((), seed, dtype=torch.int64) * _STEP) + indices.long() * _STEP
    return _mixed(keys)


def check_indices(indices: Tensor, count: int) -> Tensor:
    """The numbers of a batch's images, on the CPU."""
    if indices.ndim != 1 or len(indices) != count or indices.is_floating_point() or indices.dtype == torch.bool:
        raise ValueError(f"indices must be {count} whole numbers, got {tuple(indices.shape)} {indices.dtype}")
    return indices.detach().cpu().long()


def _mixed(keys: Tensor) -> Tensor:
    keys = (keys ^ _shifted(keys, 30)) * _FIRST
    keys = (keys ^ _shifted(keys, 27)) * _SECOND
    return keys ^ _shifted(keys, 31)


def _shifted(keys: Tensor, bits: int) -> Tensor:
    """To the right, zeros coming in."""
    return (keys >> bits) & ((1 << (64 - bits)) - 1)
