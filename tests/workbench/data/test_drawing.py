"""A training's images from a stream: each once an epoch, equal for any ranks and workers, gone on with at any step."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from _support.mutants import catches
from _support.tar_files import records, write_archive
from vistok.metrics import to_uint8
from vistok.workbench.data import ImageSet, batch_indices, load_images
from vistok.workbench.data.drawing import drawn_images, some_images, step_indices
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.micro_batches import training_batches

SUBJECT = "vistok.workbench.data.drawing"
SIZES = (7, 5, 9, 6, 5)  # 32 records
BATCH = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    firsts = [sum(SIZES[:shard]) for shard in range(len(SIZES) + 1)]
    for shard, (first, last) in enumerate(pairwise(firsts)):
        write_archive(root / f"train-{shard}.tar", records(first, last))
    write_archive(root / "val-0.tar", records(50, 52))
    return root


def opened(folder, cache, limit=1 << 30, **options):
    return load_images(folder, image_size=8, cache_dir=cache, streaming_limit=limit, **options).train


def seen(train, *, start=0, until=8, rank=0, ranks=1, seed=0):
    """The numbers of the records of each step, as one of several processes trains on them."""
    process = SimpleNamespace(num_processes=ranks, process_index=rank, device=torch.device("cpu"))
    settings = TrainConfig(steps=until, batch_size=BATCH)
    data = DataConfig(horizontal_flip=True)
    steps = training_batches(train, settings, data, process, start=start, seed=seed)
    return [to_uint8(batch.images)[:, 0, 3, 3].tolist() for (batch,) in steps]


@catches(
    SUBJECT,
    "shard_batch_indices(shards.sizes, batch_size, step, seed)",
    "shard_batch_indices(shards.sizes, batch_size, 0, seed)",
)
def test_every_record_of_a_stream_is_seen_once_an_epoch(folder, tmp_path):
    epochs = torch.tensor(seen(opened(folder, tmp_path, workers=0))).view(2, 32)
    assert epochs.sort(dim=1).values.tolist() == [list(range(32))] * 2
    assert not torch.equal(*epochs)


@pytest.mark.parametrize("workers", [0, 2])
def test_two_ranks_together_see_what_one_sees_and_what_is_killed_goes_on_at_any_step(folder, tmp_path, workers):
    whole = seen(opened(folder, tmp_path / "one", workers=0))
    train = opened(folder, tmp_path / "other", workers=workers)
    halves = [seen(train, rank=rank, ranks=2) for rank in (0, 1)]
    assert [first + second for first, second in zip(*halves, strict=True)] == whole
    # Nothing is left of the first run, not even its shards.
    assert seen(opened(folder, tmp_path / "new", workers=workers), start=5) == whole[5:]
    assert seen(train, seed=1) != whole


def test_a_stream_that_is_larger_than_its_room_is_seen_all_the_same(folder, tmp_path, monkeypatch):
    from vistok.workbench.data import _streams

    monkeypatch.setattr(_streams, "LANES", 1)  # room for three of five shards is accepted
    largest = max(path.stat().st_size for path in folder.iterdir())
    train = opened(folder, tmp_path, limit=3 * largest, workers=0)
    assert seen(train) == seen(opened(folder, tmp_path / "other", workers=0))
    kept = [path for path in (tmp_path / "shards").iterdir() if path.suffix == ".tar"]
    assert sum(path.stat().st_size for path in kept) <= 3 * largest


@catches(SUBJECT, "[:count]\n", "\n")
@catches(
    SUBJECT,
    "return batch_indices(len(images), batch_size, step, seed)",
    "return batch_indices(len(images), batch_size, 0, seed)",
)
@catches(SUBJECT, "min(count, len(images))", "count")
def test_sets_that_are_here_are_drawn_from_all_over_and_streams_from_their_first_shards(folder, tmp_path):
    here = ImageSet(torch.zeros(30, 1, 4, 4, dtype=torch.uint8), torch.zeros(30, dtype=torch.int64), ("all",), "thirty")
    assert torch.equal(step_indices(here, 4, 7, 3), batch_indices(30, 4, 7, 3))
    expected = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    assert torch.equal(drawn_images(here, 5, 3), expected[:5])
    assert torch.equal(drawn_images(here, 50, 3), expected)
    train = opened(folder, tmp_path)
    assert torch.equal(drawn_images(train, 4, 3), step_indices(train, 4, 0, 3))
    assert drawn_images(train, 99, 3).sort().values.tolist() == list(range(32))


@catches(SUBJECT, "drawn_images(images, count, seed).msort()", "drawn_images(images, count, seed)")
@catches(SUBJECT, "drawn_images(images, count, seed).msort()", "torch.arange(count)")
def test_some_images_are_those_that_are_drawn_in_the_order_of_the_set():
    images = ImageSet(torch.zeros(9, 1, 8, 8, dtype=torch.uint8), torch.zeros(9, dtype=torch.long), ("all",), "nine")
    some = some_images(images, 5, 3).tolist()
    assert some == sorted(drawn_images(images, 5, 3).tolist())
    assert some != list(range(5))
    assert some_images(images, 50, 3).tolist() == list(range(9))
