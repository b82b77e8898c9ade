"""The images of a step do not depend on how they are divided, and say which they are."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.image_files import photographs
from _support.mutants import catches
from vistok.workbench.data import ImageSet, batch_indices, load_images
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.micro_batches import training_batches

SUBJECT = "vistok.workbench.training.micro_batches"
PIXELS = torch.randint(0, 256, (30, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IMAGES = ImageSet(PIXELS, torch.zeros(30, dtype=torch.int64), ("all",), "thirty")


def process(rank=0, count=1):
    return SimpleNamespace(num_processes=count, process_index=rank, device=torch.device("cpu"))


def load(*, processes=1, accumulation=1, step=2, seed=5, flip=True):
    settings = TrainConfig.model_construct(steps=2000, batch_size=12, accumulation=accumulation)
    data = DataConfig(horizontal_flip=flip)
    return [
        batch
        for rank in range(processes)
        for batch in next(training_batches(IMAGES, settings, data, process(rank, processes), start=step, seed=seed))
    ]


def joined(batches):
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]


@pytest.mark.parametrize(("processes", "accumulation"), [(2, 1), (1, 3), (2, 3)])
def test_all_processes_and_micro_batches_together_are_the_whole_batch(processes, accumulation):
    whole, divided = joined(load()), load(processes=processes, accumulation=accumulation)
    assert len(divided) == processes * accumulation
    assert all(torch.equal(a, b) for a, b in zip(whole, joined(divided), strict=True))


@catches(SUBJECT, "flips &= augmentation.horizontal_flip", "")
@given(st.integers(0, 1000), st.integers(0, 99), st.booleans())
def test_indices_and_flips_say_what_the_images_are(step, seed, flip):
    ((images, indices, flips),) = load(step=step, seed=seed, flip=flip)
    assert torch.equal(indices, batch_indices(30, 12, step, seed))
    plain = IMAGES.batch(indices)
    for image, original, flipped in zip(images, plain, flips, strict=True):
        assert torch.equal(image, original.flip(-1) if flipped else original)
    if not flip:
        assert not flips.any()


@catches(SUBJECT, "manual_seed(seed * 7_919 + step)", "manual_seed(seed * 7_919)")
def test_about_half_of_the_images_are_flipped_and_others_at_each_step():
    flips = torch.stack([load(step=step)[0].flips for step in range(200)])
    assert 0.46 < flips.float().mean() < 0.54
    assert len({tuple(row.tolist()) for row in flips}) > 180


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="expected a multiple of 1 processes x 5 micro-batches, got 12"):
        load(accumulation=5)


@catches(
    SUBJECT,
    "crops = torch.rand(len(drawn), augmentation.crop_numbers, generator=draws)",
    "crops = torch.rand(len(drawn), augmentation.crop_numbers)",
)
def test_random_crops_follow_from_seed_and_step_alone_in_memory_and_decoded_on_demand(tmp_path):
    folder = photographs(tmp_path / "data")
    options = {"image_size": 16, "cache_dir": tmp_path / "cache", "random_crop": True}
    loaded, lazy = (load_images(folder, memory_limit=limit, **options).train for limit in (1 << 30, 0))

    def batch(images, *, step=3, seed=0, crop=True, of=None, accumulation=1):
        settings = TrainConfig(steps=9, batch_size=16, accumulation=accumulation)
        parts = next(
            training_batches(images, settings, DataConfig(random_crop=crop), of or process(), start=step, seed=seed)
        )
        return torch.cat([part.images for part in parts])

    cropped = batch(loaded)
    assert torch.equal(cropped, batch(loaded))
    assert torch.equal(cropped, batch(lazy))
    assert torch.equal(cropped, batch(loaded, accumulation=4))
    assert torch.equal(cropped, torch.cat([batch(loaded, of=process(rank, 2)) for rank in (0, 1)]))
    assert not torch.equal(cropped, batch(loaded, seed=1))
    indices = torch.arange(len(loaded))
    draws = torch.rand(2, len(loaded), 3, generator=torch.Generator().manual_seed(0))
    first, second = (loaded.batch(indices, part) for part in draws)
    plain = loaded.batch(indices)
    small = [i for i, more in enumerate(loaded.uncropped) if tuple(more.shape[1:]) == (16, 16)]
    assert 0 < len(small) <= 2
    for index in range(len(loaded)):
        same = torch.equal(first[index], second[index])
        assert same == (index in small)
        assert torch.equal(first[index], plain[index]) == (index in small)


def test_resized_crops_follow_from_seed_and_step_alone(tmp_path):
    options = {"image_size": 16, "cache_dir": tmp_path / "cache", "random_crop": "resized"}
    train = load_images(photographs(tmp_path / "data"), workers=0, **options).train
    data = DataConfig(random_crop="resized", horizontal_flip=True)

    def batch(step, seed=0, ranks=1):
        settings = TrainConfig(steps=9, batch_size=8)
        own = (training_batches(train, settings, data, process(r, ranks), start=step, seed=seed) for r in range(ranks))
        return torch.cat([part.images for batches in own for part in next(batches)])

    assert torch.equal(batch(3), batch(3))
    assert torch.equal(batch(3), batch(3, ranks=2))
    assert not torch.equal(batch(3), batch(3, seed=1))


def test_without_random_crops_a_set_that_was_loaded_for_them_gives_the_same_images(tmp_path):
    options = {"image_size": 16, "cache_dir": tmp_path / "cache"}
    folder = photographs(tmp_path / "data")
    plain, cropped = (load_images(folder, random_crop=crop, **options) for crop in (False, True))
    settings, data = TrainConfig(steps=9, batch_size=8), DataConfig(horizontal_flip=True)
    (first,) = next(training_batches(plain.train, settings, data, process(), start=2, seed=0))
    (second,) = next(training_batches(cropped.train, settings, data, process(), start=2, seed=0))
    assert torch.equal(first.images, second.images)
