"""Batches that other processes decode: the same bits, order and errors, and nothing left behind."""

import logging
import multiprocessing
import os
import signal
import subprocess
from itertools import count, islice
from types import SimpleNamespace

import pytest
import torch

from _support.image_files import numbers, photographs, write_folder
from _support.mutants import catches
from vistok.metrics import from_uint8
from vistok.workbench.data import Draw, LazyImageSet, batch_indices, batches, load_batches, load_images
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.micro_batches import training_batches

SUBJECT = "vistok.workbench.data.batches"


def coloured(*missing, workers=2, limit=4):
    """Twelve images of their number from left to right; some cannot be read."""

    def decode(index):
        if index in missing:
            raise ValueError("unreadable image: torn")
        return torch.tensor([10 * index, 10 * index + 1], dtype=torch.uint8).expand(3, 2, 2).contiguous()

    images = LazyImageSet(
        decode,
        lambda index: f"file {index}",
        labels=torch.zeros(12, dtype=torch.int64),
        class_names=("all",),
        name="coloured",
        image_size=2,
        max_unreadable=limit,
    )
    images.workers = workers
    return images


def plan(*indices, flip=False):
    return [Draw(torch.tensor(batch), torch.full((len(batch),), flip)) for batch in indices]


def firsts(images, draws):
    """The left column of what comes."""
    return [pixels[:, 0, 0, 0].tolist() for _, pixels in load_batches(images, draws)]


@catches(SUBJECT, "asked.popleft()", "asked.pop()")
def test_batches_come_in_the_order_of_the_plan_with_what_was_asked():
    draws = plan([3, 1], [0], [11, 11, 2], [7], [8, 9], [10, 4])
    for workers in (0, 1, 2):
        found = list(load_batches(coloured(workers=workers), draws))
        assert [draw.indices.tolist() for draw, _ in found] == [draw.indices.tolist() for draw in draws]
        assert [pixels[:, 0, 0, 0].tolist() for _, pixels in found] == [
            [10 * index for index in draw.indices.tolist()] for draw in draws
        ]
        assert found[0][1].dtype == torch.uint8


@catches(
    SUBJECT, "torch.where(torch.from_numpy(flips)[:, None, None, None], pixels.flip(-1), pixels)", "pixels.flip(-1)"
)
@catches(SUBJECT, "pixels.flip(-1)", "pixels.flip(-2)")
@pytest.mark.parametrize("workers", [0, 2])
def test_each_image_is_flipped_from_left_to_right_as_its_draw_says(workers):
    draw = Draw(torch.tensor([1, 2, 3]), torch.tensor([False, True, False]))
    assert firsts(coloured(workers=workers), [draw]) == [[10, 21, 30]]


@catches(SUBJECT, "None if crops is None else torch.from_numpy(crops)", "None")
def test_workers_give_the_bits_of_one_process_and_of_a_set_in_memory_random_crops_too(tmp_path):
    folder, options = photographs(tmp_path / "data"), {"image_size": 16, "cache_dir": tmp_path / "cache"}
    loaded = load_images(folder, random_crop=True, **options).train
    draws = torch.Generator().manual_seed(0)
    asked = [
        Draw(batch_indices(len(loaded), 7, step, 0), torch.rand(7, generator=draws) < 0.5, torch.rand(7, 3))
        for step in range(5)
    ]
    wanted = [
        torch.where(draw.flips[:, None, None, None], pixels.flip(-1), pixels)
        for draw in asked
        for pixels in [loaded.pixels(draw.indices, draw.crops)]
    ]
    assert any(not torch.equal(pixels, loaded.pixels(draw.indices)) for draw, pixels in zip(asked, wanted, strict=True))
    for workers in (0, 1, 2):
        lazy = load_images(folder, random_crop=True, memory_limit=0, workers=workers, **options).train
        assert isinstance(lazy, LazyImageSet)
        assert lazy.workers == workers
        for (_, pixels), want in zip(load_batches(lazy, asked), wanted, strict=True):
            assert torch.equal(pixels, want)


@catches(SUBJECT, "lazy.leave_out(unreadable)", "pass")
def test_what_workers_cannot_read_is_named_once_by_the_process_that_trains(caplog):
    images = coloured(3, 5)
    with caplog.at_level(logging.WARNING):
        assert firsts(images, plan([3], [5, 3], [4], [3])) == [[40], [60, 40], [40], [40]]
    assert images.skipped == ("file 3 (unreadable image: torn)", "file 5 (unreadable image: torn)")
    assert sorted(record.getMessage() for record in caplog.records) == [
        f"data set coloured, left out: file {number} (unreadable image: torn)" for number in (3, 5)
    ]


@catches(SUBJECT, "raise ValueError(error)", "continue")
@pytest.mark.parametrize("workers", [0, 2])
def test_too_many_unreadable_images_are_the_one_line_that_they_are_without_workers(workers):
    message = r"\Adata set 'coloured': more than max_unreadable=1 images could not be read, first: [^\n]*\Z"
    with pytest.raises(ValueError, match=message):
        firsts(coloured(3, 5, workers=workers, limit=1), plan([3], [5], [4], [5]))
    everything = coloured(*range(12), workers=workers, limit=99)
    with pytest.raises(ValueError, match=r"\Adata set 'coloured' has no readable image\Z"):
        firsts(everything, plan([3]))


def test_what_two_workers_met_counts_together():
    """Each worker meets one unreadable image, which is within the limit of one."""
    with pytest.raises(ValueError, match="max_unreadable=1"):
        firsts(coloured(3, 5, limit=1), plan([3], [5], [4], [4]))


@catches(SUBJECT, "generator=torch.Generator(),", "")
def test_the_global_generator_stays_where_it_is():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    list(load_batches(coloured(), plan([1], [2])))
    assert torch.equal(torch.rand(4), expected)


def test_an_endless_plan_is_asked_a_few_batches_ahead_and_no_process_stays():
    asked = []

    def endless():
        for number in count():
            asked.append(number)
            yield from plan([number % 12])

    before = len(multiprocessing.active_children())
    loaded = load_batches(coloured(), endless())
    assert [pixels[0, 0, 0, 0].item() for _, pixels in islice(loaded, 5)] == [0, 10, 20, 30, 40]
    assert len(asked) <= 5 + 2 * 2 + 1
    assert len(multiprocessing.active_children()) == before + 2
    loaded.close()
    assert len(multiprocessing.active_children()) == before


def decoding():
    """A loader of twelve batches, two of which have come, and its two workers."""
    others = set(multiprocessing.active_children())
    loaded = load_batches(coloured(), plan(*[[number] for number in range(12)]))
    assert [next(loaded)[0].indices.item() for _ in range(2)] == [0, 1]  # by now both have started
    return loaded, set(multiprocessing.active_children()) - others


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@catches(SUBJECT, "signal.signal(asking, signal.SIG_IGN)", "pass")
def test_ctrl_c_and_a_closed_terminal_reach_the_workers_and_do_not_stop_them(number):
    normal = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}[number]
    before = signal.signal(number, normal)  # a job in the background ignores it
    try:
        loaded, workers = decoding()
    finally:
        signal.signal(number, before)
    for worker in workers:
        os.kill(worker.pid, number)
    assert [pixels[0, 0, 0, 0].item() for _, pixels in loaded] == [10 * number for number in range(2, 12)]


@catches(SUBJECT, "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})", "pass")
@catches(SUBJECT, "si_pid != os.getppid()", "si_pid == os.getppid()")
def test_a_sigterm_to_all_processes_of_a_job_does_not_stop_the_workers():
    """As torchrun, timeout and Slurm send it, while the training writes its checkpoint."""
    loaded, workers = decoding()
    subprocess.run(["kill", "-TERM", *(str(worker.pid) for worker in workers)], check=True)
    assert [pixels[0, 0, 0, 0].item() for _, pixels in loaded] == [10 * number for number in range(2, 12)]
    assert [worker.exitcode for worker in workers] == [0, 0]


@catches(SUBJECT, "    os._exit(0)\n", "    pass\n")
def test_workers_end_where_the_training_says_so_and_a_loader_is_closed_without_them():
    """As it does at its own end, where it waits for them without asking once more."""
    loaded, workers = decoding()
    for worker in workers:
        worker.terminate()
        worker.join(5)
        assert worker.exitcode == 0
    loaded.close()


@catches(SUBJECT, "if needed <= free:", "if True:")
def test_where_shared_memory_is_small_threads_decode_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(batches.shutil, "disk_usage", lambda path: SimpleNamespace(free=59))
    assert firsts(coloured(), plan([3], [4])) == [[30], [40]]
    assert "coloured: decoded in threads, as 2 workers need 0 MB of shared memory and /dev/shm has 0 MB" in caplog.text


@catches(SUBJECT, 'os.environ.get("LOCAL_WORLD_SIZE", "1")', '"1"')
def test_cores_are_divided_among_the_processes_of_a_machine(monkeypatch):
    monkeypatch.setattr(batches.os, "sched_getaffinity", lambda process: set(range(12)), raising=False)
    assert batches.usual_workers() == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert batches.usual_workers() == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "99")
    assert batches.usual_workers() == 1


@catches(
    SUBJECT,
    "workers = _workers_that_fit(lazy, len(first[0].indices)) if lazy is not None and first else 0",
    "workers = 0",
)
def test_a_training_on_files_is_read_by_workers_and_is_that_on_memory(tmp_path):
    folder, options = write_folder(tmp_path / "data"), {"image_size": 8, "cache_dir": tmp_path / "cache"}
    one = SimpleNamespace(num_processes=1, process_index=0, device=torch.device("cpu"))
    settings, data = TrainConfig(steps=6, batch_size=8, accumulation=2), DataConfig(horizontal_flip=True)
    loaded = load_images(folder, **options).train
    lazy = load_images(folder, memory_limit=0, workers=2, **options).train
    assert len(numbers(lazy)) == len(loaded)
    wanted = list(training_batches(loaded, settings, data, one, start=0, seed=1))
    found = training_batches(lazy, settings, data, one, start=2, seed=1)
    before = len(multiprocessing.active_children())
    first = next(found)
    assert len(multiprocessing.active_children()) == before + 2
    for step, micro in enumerate([first, *found], 2):
        for ours, theirs in zip(micro, wanted[step], strict=True):
            assert torch.equal(ours.images, theirs.images)
            assert torch.equal(ours.indices, theirs.indices)
    assert step == 5
    assert torch.equal(wanted[0][0].images[0], from_uint8(loaded.images[wanted[0][0].indices[0]]))


@catches(SUBJECT, "except (ValueError, OSError) as error", "except ValueError as error")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_cannot_be_had_is_an_error_of_one_line_and_no_unreadable_image(workers):
    images = coloured(workers=workers)

    def broken(index):
        raise OSError("a.tar could not be fetched: reset by peer")

    images._decode = broken
    with pytest.raises(ValueError, match=r"\Aa\.tar could not be fetched: reset by peer\Z"):
        list(load_batches(images, plan([1])))
    assert images.skipped == ()


@catches(SUBJECT, "half * len(needed)", "half * len(needed) * 0 - 1")
@catches(SUBJECT, "fetcher.close()", "pass")
def test_a_stream_is_read_ahead_by_half_a_shard_and_its_shards_are_wanted_meanwhile():
    images, wanted, closed = coloured(workers=0), [], []
    fetcher = SimpleNamespace(want=wanted.append, close=lambda: closed.append(True))
    images.shards = SimpleNamespace(
        sizes=(6, 6),
        holding=lambda indices: sorted({f"shard {n // 6}" for n in indices.tolist()}),
        fetcher=lambda: fetcher,
    )
    loaded = load_batches(images, plan(*([number] for number in range(12))))
    assert next(loaded)[0].indices.tolist() == [0]
    assert wanted == ["shard 0"] * 4  # a batch, and three of the six images of its shard
    assert [draw.indices.item() for draw, _ in loaded] == list(range(1, 12))
    assert wanted == ["shard 0"] * 6 + ["shard 1"] * 6
    assert closed == [True]
