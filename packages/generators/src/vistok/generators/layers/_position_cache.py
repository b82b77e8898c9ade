"""Keys and values of all positions of a bidirectional network, rewritten where a position ran again."""

import torch
from torch import Tensor


class PositionCache:
    """Keys and values ``(B, heads, T, head_dim)`` of one attention layer."""

    def __init__(self) -> None:
        self.keys = self.values = torch.empty(0)

    def update(self, key: Tensor, value: Tensor, positions: Tensor | None) -> tuple[Tensor, Tensor]:
        """Write at ``positions`` ``(B, n)``, each sample's own, or at all of them, and return all entries."""
        if positions is None:
            self.keys, self.values = key.contiguous(), value.contiguous()
        else:
            index = positions[:, None, :, None].expand_as(key)
            self.keys.scatter_(2, index, key)
            self.values.scatter_(2, index, value)
        return self.keys, self.values
