"""The only module of the package that touches ``torch.distributed``; it asks at every call and caches nothing."""

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Return the number of ranks now: 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(x: Tensor) -> Tensor:
    """Return the sum of ``x`` over all ranks; ``x`` itself on one rank."""
    if world_size() == 1:
        return x
    total = x.clone()
    dist.all_reduce(total)
    return total


def rows_of_all_ranks(rows: Tensor) -> Tensor:
    """Concatenate ``(n, d)`` rows of all ranks in rank order; ``n`` may differ between ranks."""
    world = world_size()
    if world == 1:
        return rows
    count = torch.tensor([rows.shape[0]], device=rows.device)
    counts = [torch.empty_like(count) for _ in range(world)]
    dist.all_gather(counts, count)
    sizes = [int(c) for c in counts]
    padded = rows.new_zeros(max(sizes), rows.shape[1])
    padded[: rows.shape[0]] = rows
    gathered = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(gathered, padded)
    return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])


def value_of_first_rank(x: Tensor) -> Tensor:
    """Return rank 0's ``x`` on every rank (same shape and dtype everywhere)."""
    if world_size() > 1:
        x = x.contiguous()
        dist.broadcast(x, src=0)
    return x
