"""Batches of a data set in the order of a plan, decoded ahead by other processes where it is not in memory."""

import itertools
import logging
import os
import shutil
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vistok.workbench.data.drawing import shards_of
from vistok.workbench.data.image_set import Images
from vistok.workbench.data.lazy_images import LazyImageSet

logger = logging.getLogger(__name__)

_MOST_WORKERS = 8
_AHEAD = 2  # batches that a worker has ready or under way
_SHARED_MEMORY = Path("/dev/shm")


class Draw(NamedTuple):
    """The images of one batch.

    Attributes:
        indices: ``(b,)`` int64, their places in the data set.
        flips: ``(b,)`` bool, which are flipped from left to right.
        crops: ``(b, k)`` in ``[0, 1)``, which part of each is shown, as in :meth:`Images.pixels`; ``None``: the centre.
    """

    indices: Tensor
    flips: Tensor
    crops: Tensor | None = None


def load_batches(images: Images, plan: Iterable[Draw], *, pin_memory: bool = False) -> Iterator[tuple[Draw, Tensor]]:
    """Each draw of a plan with its pixels, in order; torch's ``DataLoader`` brings them.

    Where a set is not in memory, its ``workers`` are processes that decode ahead of who asks. The plan says everything,
    so their number changes no bit, and a training that resumes begins its plan later.

    Args:
        images: The data set.
        plan: Which images each batch shows, and how. It is asked ahead, and may be endless.
        pin_memory: Whether batches come in memory that a CUDA device copies from without waiting.

    Shape:
        - pixels: ``(b, C, H, W)``, uint8.

    Raises:
        ValueError: As :meth:`Images.pixels`, or a shard of a stream cannot be had.

    Example:
        >>> from vistok.workbench.data import load_images
        >>> digits = load_images().train
        >>> ((draw, pixels),) = load_batches(digits, [Draw(torch.tensor([3, 5]), torch.tensor([False, True]))])
        >>> draw.indices.tolist(), pixels.shape, pixels.dtype
        ([3, 5], torch.Size([2, 1, 32, 32]), torch.uint8)
    """
    asked: deque[Draw] = deque()
    planned = iter(plan)
    first = list(itertools.islice(planned, 1))
    lazy = images if isinstance(images, LazyImageSet) else None
    workers = _workers_that_fit(lazy, len(first[0].indices)) if lazy is not None and first else 0

    def noted() -> Iterator[Any]:
        for draw in _fetched_ahead(images, itertools.chain(first, planned)):  # begun after workers are
            asked.append(draw)
            # A tensor would go to a worker through a file of shared memory of its own.
            yield tuple(part if part is None else part.numpy() for part in draw)

    loader: Any = DataLoader(
        _Decoded(images),
        sampler=noted(),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        collate_fn=_as_it_is,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # of seeds that nobody uses; the global one stays untouched
        pin_memory=pin_memory,
    )
    for pixels, unreadable, error in loader:
        if lazy is not None:
            lazy.leave_out(unreadable)
        if error is not None:
            raise ValueError(error)
        yield asked.popleft(), pixels


def _fetched_ahead(images: Images, plan: Iterable[Draw]) -> Iterator[Draw]:
    """The plan; of a stream, read ahead by half a shard, so that what it needs next is fetched meanwhile."""
    shards = shards_of(images)
    if shards is None:
        yield from plan
        return
    fetcher, waiting = shards.fetcher(), deque[Draw]()
    try:
        for draw in plan:
            needed = shards.holding(draw.indices)
            for address in needed:
                fetcher.want(address)
            waiting.append(draw)
            half = len(images) // len(shards.sizes) // 2
            if len(waiting) * len(draw.indices) > half * len(needed):
                yield waiting.popleft()
        yield from waiting
    finally:
        fetcher.close()


def usual_workers() -> int:
    """Processes that decode for one training process: this machine's cores divided among them, at most 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST_WORKERS, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


class _Decoded(Dataset[Any]):
    """Pixels of a draw, what turned out to be unreadable on the way, and why there are none, if so."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __getitem__(self, draw: Any) -> tuple[Tensor | None, dict[int, str], str | None]:
        indices, flips, crops = draw
        pixels, reason = None, None
        try:
            pixels = self.images.pixels(torch.from_numpy(indices), None if crops is None else torch.from_numpy(crops))
        except (ValueError, OSError) as error:  # as text: a worker's would come with its traceback
            reason = str(error)
        if pixels is not None and flips.any():
            pixels = torch.where(torch.from_numpy(flips)[:, None, None, None], pixels.flip(-1), pixels)
        unreadable = dict(self.images.unreadable) if isinstance(self.images, LazyImageSet) else {}
        return pixels, unreadable, reason


def _as_it_is(found: Any) -> Any:
    return found


def _start_worker(number: int) -> None:
    # Ctrl-C, a closed terminal, and a SIGTERM to all processes of a job end the training after its step, for which
    # they decode.
    for asking in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        signal.signal(asking, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_the_training, daemon=True).start()
    logging.disable(logging.WARNING)  # the training says what is unreadable, once


def _end_with_the_training() -> None:
    """End this process at a SIGTERM of the one that trains, which sends it at its own end and waits."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def _workers_that_fit(images: LazyImageSet, batch: int) -> int:
    """The set's workers, or 0 where what they have ready does not fit into shared memory (containers have little)."""
    if not images.workers or not _SHARED_MEMORY.is_dir():
        return images.workers
    needed = (images.workers * _AHEAD + 1) * batch * images.channels * images.image_size**2
    free = shutil.disk_usage(_SHARED_MEMORY).free
    if needed <= free:
        return images.workers
    logger.warning(
        "data set %s: decoded in threads, as %d workers need %d MB of shared memory and %s has %d MB",
        images.name,
        images.workers,
        needed >> 20,
        _SHARED_MEMORY,
        free >> 20,
    )
    return 0
