"""An epoch of tar archives by two processes that are killed in the middle: every record once, in the order of one.

    python benchmarks/simulated_epoch.py [--records 1280000] [--batch 256] [--workers 1] [--streaming]

Each record is an image of 8 x 8 pixels whose colour is its number, with its class beside it. Two processes draw the
epoch through the loader that trainings use, one half of every batch each, and write down what they see. When half of
it has been seen both are killed (SIGKILL); new ones go on from the last multiple of 50 steps, as from a checkpoint.
What was seen is then compared with the order that the step alone decides. With `--streaming` the archives are fetched
from their folder as a stream, whose copies may take less room than half of them.
"""

import argparse
import io
import multiprocessing
import signal
import struct
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from vistok.metrics import to_uint8
from vistok.workbench.data import load_images
from vistok.workbench.data.drawing import step_indices
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.micro_batches import training_batches

SIDE = 8
CLASSES = 1000
RANKS = 2
CHECKPOINT_EVERY = 50
SHARDS = 128


def png(number: int) -> bytes:
    """A flat image; written by hand, since a million of them are wanted."""
    row = b"\0" + bytes((number >> 16, number >> 8 & 255, number & 255)) * SIDE

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * SIDE, 1))
        + chunk(b"IEND", b"")
    )


def write_archives(folder: Path, records: int) -> None:
    """All records, an equal part of them a shard."""
    folder.mkdir()
    a_shard = -(-records // SHARDS)
    for shard, first in enumerate(range(0, records, a_shard)):
        with tarfile.open(folder / f"train-{shard:04}.tar", "w") as archive:
            for number in range(first, min(first + a_shard, records)):
                for ending, content in (("png", png(number)), ("cls", str(number % CLASSES).encode())):
                    member = tarfile.TarInfo(f"{number:08}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    with tarfile.open(folder / "val-0000.tar", "w") as archive:  # so that all others are for training
        member = tarfile.TarInfo("0.png")
        member.size = len(png(0))
        archive.addfile(member, io.BytesIO(png(0)))
        label = tarfile.TarInfo("0.cls")
        label.size = 1
        archive.addfile(label, io.BytesIO(b"0"))


def see(root: str, rank: int, batch: int, workers: int, room: int | None, start: int) -> None:
    """Draw this rank's half of every batch from a step on, and write down the numbers of the records."""
    torch.set_num_threads(1)
    train = open_records(Path(root), workers, room)
    settings = TrainConfig(steps=len(train) // batch, batch_size=batch)
    accelerator: Any = SimpleNamespace(num_processes=RANKS, process_index=rank, device=torch.device("cpu"))
    batches = training_batches(train, settings, DataConfig(), accelerator, start=start, seed=0)
    with seen_by(Path(root), rank).open("ab") as file:
        for (micro,) in batches:
            colours = to_uint8(micro.images[:, :, 3, 3]).numpy().astype(np.int64)
            numbers = colours[:, 0] << 16 | colours[:, 1] << 8 | colours[:, 2]
            if not np.array_equal(train.labels[micro.indices].numpy(), numbers % CLASSES):
                raise RuntimeError("a label belongs to another image")
            file.write(numbers.astype("<i4").tobytes())
            file.flush()


def open_records(root: Path, workers: int, room: int | None) -> Any:
    """The training records, none of them in memory; as a stream where there is room for so many bytes of it."""
    options = {"image_size": SIDE, "memory_limit": 0, "cache_dir": root / "cache"}
    return load_images(root / "shards", workers=workers, streaming_limit=room, **options).train


def seen_by(root: Path, rank: int) -> Path:
    """What a rank wrote down: int32 numbers."""
    return root / f"rank-{rank}.bin"


def run(root: Path, options: argparse.Namespace, start: int, until: Callable[[], bool] | None = None) -> None:
    """Both ranks from a step on, to the end or until they are killed."""
    context = multiprocessing.get_context("spawn")
    arguments = [(str(root), rank, options.batch, options.workers, options.room, start) for rank in range(RANKS)]
    processes = [context.Process(target=see, args=each) for each in arguments]
    for process in processes:
        process.start()
    while until is not None and not until() and all(process.is_alive() for process in processes):
        time.sleep(0.05)
    for process in processes:
        if until is not None:
            process.kill()
        process.join()
        if process.exitcode != (0 if until is None else -signal.SIGKILL):
            raise RuntimeError(f"a process ended with {process.exitcode}")


def steps_seen(root: Path, batch: int) -> int:
    """Steps that all ranks have written down."""
    sizes = [seen_by(root, rank).stat().st_size if seen_by(root, rank).exists() else 0 for rank in range(RANKS)]
    return min(sizes) // (4 * batch // RANKS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_280_000, help="a multiple of the batch")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--workers", type=int, default=1, help="of each of the two processes")
    parser.add_argument("--streaming", action="store_true", help="fetch the archives when they are needed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, start = Path(folder), time.perf_counter()
        write_archives(root / "shards", options.records)
        wrote = time.perf_counter() - start
        size = sum(path.stat().st_size for path in (root / "shards").iterdir())
        options.room = size * 2 // 5 if options.streaming else None
        train = open_records(root, options.workers, options.room)
        print(f"{options.records} records written in {wrote:.0f} s, opened the first time in ", end="")
        print(f"{time.perf_counter() - start - wrote:.0f} s", flush=True)
        steps = options.records // options.batch
        run(root, options, 0, lambda: steps_seen(root, options.batch) >= steps // 2)
        seen = steps_seen(root, options.batch)
        again = seen // CHECKPOINT_EVERY * CHECKPOINT_EVERY
        for rank in range(RANKS):
            with seen_by(root, rank).open("r+b") as file:
                file.truncate(again * 4 * options.batch // RANKS)
        print(f"killed after {seen} of {steps} steps, gone on from {again}", flush=True)
        run(root, options, again)
        halves = [np.fromfile(seen_by(root, rank), "<i4").reshape(steps, -1) for rank in range(RANKS)]
        order = np.concatenate(halves, axis=1)
        expected = np.stack([step_indices(train, options.batch, step, 0).numpy() for step in range(steps)])
        if not np.array_equal(order, expected):
            raise SystemExit("the order is another than that of an epoch without a kill")
        if len(np.unique(order)) != options.records:
            raise SystemExit("not every record was seen once")
        rate = order.size / (time.perf_counter() - start - wrote)
        print(f"{order.size} records, each once, in the order of an epoch without a kill; {rate:.0f} a second in all")


if __name__ == "__main__":
    main()
