"""Keys and values of what a model has already seen, in memory taken once."""

import torch
from torch import Tensor


class KVCache:
    r"""Static cache of one attention layer.

    The memory is taken at construction; :meth:`update` writes in place and returns views, so nothing grows.

    Args:
        batch: Largest batch.
        num_heads: Number of heads.
        length: Number of positions.
        head_dim: Size of a head.
        dtype: Type of the entries.
        device: Where they live.

    Shape:
        ``(batch, num_heads, length, head_dim)`` each for keys and values.

    Raises:
        ValueError: A write outside the cache.

    Example:
        >>> import torch
        >>> cache = KVCache(1, 2, 4, 8, dtype=torch.float32, device=torch.device("cpu"))
        >>> keys, values = cache.update(torch.ones(1, 2, 1, 8), torch.ones(1, 2, 1, 8), start=2)
        >>> keys.shape
        torch.Size([1, 2, 3, 8])
    """

    def __init__(
        self, batch: int, num_heads: int, length: int, head_dim: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.keys = torch.zeros(batch, num_heads, length, head_dim, dtype=dtype, device=device)
        self.values = torch.zeros_like(self.keys)

    def update(self, key: Tensor, value: Tensor, *, start: int) -> tuple[Tensor, Tensor]:
        """Write at ``start`` for the first ``len(key)`` samples and return all entries up to the end of the write."""
        batch, end = key.shape[0], start + key.shape[2]
        if start < 0 or end > self.keys.shape[2] or batch > self.keys.shape[0]:
            raise ValueError(
                f"cache holds {self.keys.shape[0]} samples and {self.keys.shape[2]} positions, "
                f"got a write of {batch} samples to positions {start}..{end}"
            )
        self.keys[:batch, :, start:end] = key
        self.values[:batch, :, start:end] = value
        return self.keys[:batch, :, :end], self.values[:batch, :, :end]
