"""Which images of a set are drawn: any of it where they are here, those of few shards of a stream."""

import torch
from torch import Tensor

from vistok.workbench.data._streams import Shards
from vistok.workbench.data.batch_order import batch_indices
from vistok.workbench.data.image_set import Images
from vistok.workbench.data.lazy_images import LazyImageSet
from vistok.workbench.data.shard_order import shard_batch_indices


def step_indices(images: Images, batch_size: int, step: int, seed: int) -> Tensor:
    """The images of a training's step: :func:`batch_indices`, or :func:`shard_batch_indices` of a stream."""
    shards = shards_of(images)
    if shards is None:
        return batch_indices(len(images), batch_size, step, seed)
    return shard_batch_indices(shards.sizes, batch_size, step, seed)


def drawn_images(images: Images, count: int, seed: int) -> Tensor:
    """At most so many of a set's indices ``(n,)`` without repetition, at random; of a stream, of its first shards."""
    count = min(count, len(images))
    if shards_of(images) is not None:
        return step_indices(images, count, 0, seed)
    drawn: Tensor = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:count]
    return drawn


def some_images(images: Images, count: int, seed: int) -> Tensor:
    """The same in the order of the set."""
    return drawn_images(images, count, seed).msort()


def shards_of(images: Images) -> Shards | None:
    """The shards of a stream."""
    return images.shards if isinstance(images, LazyImageSet) else None
