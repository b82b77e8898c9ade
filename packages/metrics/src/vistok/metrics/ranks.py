"""The only module of the package that touches ``torch.distributed``; it asks at every call and caches nothing."""

import contextlib
import copy
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import torch.distributed as dist
from torch import Tensor

from vistok.metrics.streaming import StreamingMetric

Metric = TypeVar("Metric", bound=StreamingMetric)


class Rank(NamedTuple):
    """One of the processes of a launch.

    Attributes:
        number: Which it is, from 0.
        world: How many there are.
    """

    number: int
    world: int


def own_rank() -> Rank:
    """This process among those of its group; the only one where there is no group."""
    if dist.is_available() and dist.is_initialized():
        return Rank(dist.get_rank(), dist.get_world_size())
    return Rank(0, 1)


def merged_over_ranks(metric: Metric) -> Metric:
    """A metric of all that every rank has seen; ``metric`` itself stays as it is and goes on.

    Args:
        metric: This rank's; every rank calls, with the same kind and settings.

    Raises:
        ValueError: A rank's state does not fit.

    Distributed:
        One gathering of the states (``all_gather_object``); every rank gets the same figure, merged in the order of the
        ranks. Without a process group a copy comes back. A sampler that repeats images to even out the ranks has them
        counted twice, but by :class:`vistok.metrics.FeatureBank`: give each rank its own images.

    Example:
        >>> from vistok.metrics import CodeUsage
        >>> import torch
        >>> metric = CodeUsage(4)
        >>> metric.update(torch.tensor([0, 1]))
        >>> merged_over_ranks(metric).compute().usage.item()
        0.5
    """
    states: list[dict[str, Tensor]] = [metric.state_dict()]
    if dist.is_available() and dist.is_initialized():
        states = [{} for _ in range(dist.get_world_size())]
        dist.all_gather_object(states, metric.state_dict())
    total, part = copy.copy(metric), copy.copy(metric)
    total.reset()
    for state in states:
        part.reset()
        part.load_state_dict(state)
        total.merge(part)
    return total


@contextlib.contextmanager
def joined_processes() -> Iterator[None]:
    """For a command: join the processes that torchrun or accelerate started beside this one, and part at the end.

    All have met when the block begins: gloo connects in the background, and a process that parts at once would close
    the connection that a slower one is still opening.
    """
    if not dist.is_available() or dist.is_initialized() or not dist.is_torchelastic_launched():
        yield
        return
    dist.init_process_group("gloo")
    try:
        dist.barrier()
        yield
    finally:
        dist.destroy_process_group()
