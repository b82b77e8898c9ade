"""Which weights a number was measured with."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of named tensors, whatever file they came from.

    Args:
        weights: A network's ``state_dict()``, of any dtype.

    Example:
        >>> fingerprint({"weight": torch.zeros(2)})
        '3688caeed5ef2f3f'
    """
    digest = hashlib.sha256()
    for key, value in sorted(weights.items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
