"""The images of a step do not depend on how they are divided, and say which they are."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vistok.workbench.data import ImageSet, batch_indices
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.micro_batches import load_micro_batches

PIXELS = torch.randint(0, 256, (30, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IMAGES = ImageSet(PIXELS, torch.zeros(30, dtype=torch.int64), ("all",), "thirty")


def process(rank=0, count=1):
    return SimpleNamespace(num_processes=count, process_index=rank, device=torch.device("cpu"))


def load(*, processes=1, accumulation=1, step=2, seed=5, flip=True):
    settings = TrainConfig.model_construct(batch_size=12, accumulation=accumulation)
    data = DataConfig(horizontal_flip=flip)
    return [
        batch
        for rank in range(processes)
        for batch in load_micro_batches(IMAGES, settings, data, step, process(rank, processes), seed=seed)
    ]


def joined(batches):
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]


@pytest.mark.parametrize(("processes", "accumulation"), [(2, 1), (1, 3), (2, 3)])
def test_all_processes_and_micro_batches_together_are_the_whole_batch(processes, accumulation):
    whole, divided = joined(load()), load(processes=processes, accumulation=accumulation)
    assert len(divided) == processes * accumulation
    assert all(torch.equal(a, b) for a, b in zip(whole, joined(divided), strict=True))


@given(st.integers(0, 1000), st.integers(0, 99), st.booleans())
def test_indices_and_flips_say_what_the_images_are(step, seed, flip):
    ((images, indices, flips),) = load(step=step, seed=seed, flip=flip)
    assert torch.equal(indices, batch_indices(30, 12, step, seed))
    plain = IMAGES.batch(indices)
    for image, original, flipped in zip(images, plain, flips, strict=True):
        assert torch.equal(image, original.flip(-1) if flipped else original)
    if not flip:
        assert not flips.any()


def test_about_half_of_the_images_are_flipped_and_others_at_each_step():
    flips = torch.stack([load(step=step)[0].flips for step in range(200)])
    assert 0.46 < flips.float().mean() < 0.54
    assert len({tuple(row.tolist()) for row in flips}) > 180


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="expected a multiple of 1 processes x 5 micro-batches, got 12"):
        load(accumulation=5)
