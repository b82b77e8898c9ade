"""The one module of this package that talks to other ranks. It asks for the process group at every call."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


def world_size() -> int:
    """Return the number of ranks, ``1`` without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _SumAcrossRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, tensor: Tensor) -> Tensor:
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def sum_across_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of ``tensor`` over ranks.

    The backward sums too, so averaging gradients over ranks afterwards, as DDP does, gives the gradient of one rank
    that holds the joint batch.
    """
    if world_size() == 1:
        return tensor
    total: Tensor = _SumAcrossRanks.apply(tensor)
    return total


def gather_constants(tensor: Tensor) -> tuple[Tensor, int]:
    """Return the rows of all ranks in rank order, off the graph, and where the rows of this rank start."""
    ranks = world_size()
    if ranks == 1:
        return tensor.detach(), 0
    rows = torch.tensor([tensor.shape[0]], device=tensor.device)
    all_rows = [torch.empty_like(rows) for _ in range(ranks)]
    dist.all_gather(all_rows, rows)
    counts = torch.cat(all_rows).tolist()
    if len(set(counts)) > 1:
        raise ValueError(f"every rank must bring the same number of samples, got {counts}")
    gathered = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(ranks)]
    dist.all_gather(gathered, tensor.detach().contiguous())
    return torch.cat(gathered), dist.get_rank() * tensor.shape[0]
