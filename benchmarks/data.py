"""Images a second from files to batches, ours beside torchvision's ImageFolder with a DataLoader, in one run.

    python benchmarks/data.py [--images 1000] [--workers 0 1 2] [--rounds 3]
    python benchmarks/data.py --steps 20        # and a training step that is fed, beside one on images already there

Photographs of 500 x 375 pixels (those of scikit-learn, cut and mirrored at random) as JPEG, in a folder and in tars.
Each row brings all of them to 256 pixels in batches of 32, in the order that a training has. Rounds of all rows follow
each other; the best counts. The tables end with the cores that eight devices need.
"""

import argparse
import contextlib
import io
import random
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images
from torch.utils.data import DataLoader

from vistok.metrics import from_uint8
from vistok.metrics.networks._torchvision_schemas import declare_missing_operators
from vistok.workbench.data import Draw, batch_indices, load_batches, load_images
from vistok.workbench.run.folder import environment_record

SIZE = 256
BATCH = 32
SHARDS = 4
DEVICES = 8
STEP_SECONDS = 0.25  # of a device with a batch of 32: what the paper's sizes take on a large GPU, about


def write_photographs(root: Path, count: int) -> None:
    """The same JPEGs as a folder of one class and as tar archives."""
    rng = random.Random(0)
    photographs = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    (root / "folder" / "all").mkdir(parents=True)
    (root / "tars").mkdir()
    with contextlib.ExitStack() as opened:
        archives = [
            opened.enter_context(tarfile.open(root / "tars" / f"train-{shard:03}.tar", "w")) for shard in range(SHARDS)
        ]
        for number in range(count):
            image = rng.choice(photographs)
            left, top = rng.randrange(image.width - 500), rng.randrange(image.height - 375)
            image = image.crop((left, top, left + 500, top + 375))
            buffer = io.BytesIO()
            (ImageOps.mirror(image) if rng.random() < 0.5 else image).save(buffer, "JPEG", quality=92)
            (root / "folder" / "all" / f"{number:06}.jpg").write_bytes(buffer.getvalue())
            header = tarfile.TarInfo(f"{number:06}.jpg")
            header.size = len(buffer.getvalue())
            archives[number * SHARDS // count].addfile(header, io.BytesIO(buffer.getvalue()))


def torchvisions(root: Path, workers: int, interpolation: str) -> Callable[[], Iterable[Any]]:
    """ImageFolder, resized and cropped as it is usually done, in 8 bits, shuffled."""
    declare_missing_operators()
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose(
        [v2.Resize(SIZE, v2.InterpolationMode(interpolation)), v2.CenterCrop(SIZE), v2.PILToTensor()]
    )
    folder = ImageFolder(root / "folder", transform)
    return lambda: DataLoader(folder, BATCH, shuffle=True, num_workers=workers)


def ours(root: Path, source: str, workers: int, **options: Any) -> Callable[[], Iterable[Any]]:
    """Our loader on all images of a source that stay on the disk."""
    cache = root / "cache"
    train = load_images(
        root / source,
        image_size=SIZE,
        memory_limit=0,
        workers=workers,
        validation_fraction=1e-6,
        cache_dir=cache,
        **options,
    ).train

    def epoch() -> Iterator[Any]:
        steps = len(train) // BATCH
        none = torch.zeros(BATCH, dtype=torch.bool)
        return load_batches(train, (Draw(batch_indices(len(train), BATCH, step, 0), none) for step in range(steps)))

    return epoch


def rows(root: Path, workers: int) -> dict[str, Callable[[], Iterable[Any]]]:
    """What is compared, by name."""
    return {
        "ImageFolder, bicubic as ours": torchvisions(root, workers, "bicubic"),
        "ImageFolder, bilinear": torchvisions(root, workers, "bilinear"),
        "ours, folder": ours(root, "folder", workers),
        "ours, folder, fast decoding": ours(root, "folder", workers, fast_decoding=True),
        "ours, tars": ours(root, "tars", workers),
        "ours, tars, fast decoding": ours(root, "tars", workers, fast_decoding=True),
    }


def rate(epoch: Callable[[], Iterable[Any]], count: int) -> float:
    """Images a second of one pass, the start of the workers included."""
    start = time.perf_counter()
    seen = sum(1 for _ in epoch()) * BATCH
    return min(seen, count) / (time.perf_counter() - start)


def throughput(root: Path, options: argparse.Namespace) -> None:
    """The table of rates, and the cores that devices need at the best of ours a worker."""
    best = 0.0
    print("| workers | loader | images a second | to ImageFolder |\n|---|---|---|---|")
    for workers in options.workers:
        loaders = rows(root, workers)
        found: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(options.rounds):
            for name, epoch in loaders.items():
                found[name].append(rate(epoch, options.images))
        peer = max(found["ImageFolder, bicubic as ours"])
        for name, values in found.items():
            print(f"| {workers} | {name} | {max(values):.0f} | {max(values) / peer:.2f} |", flush=True)
        if workers == 1:
            best = max(found["ours, tars"])
    if best:
        needed = DEVICES * BATCH / STEP_SECONDS
        print(
            f"\nOne worker brings {best:.0f} images a second. {DEVICES} devices with {BATCH} images in {STEP_SECONDS} s"
        )
        print(f"need {needed:.0f}, so {needed / best:.0f} cores.")


def fed_step(root: Path, steps: int) -> None:
    """A step of convolutions on images that are there, and on those that one worker brings meanwhile."""
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 48, 4, stride=4), *(torch.nn.Conv2d(48, 48, 3, padding=1) for _ in range(3))
    )
    optimizer = torch.optim.Adam(network.parameters())

    def step(pixels: torch.Tensor) -> float:
        start = time.perf_counter()
        optimizer.zero_grad()
        network(from_uint8(pixels)).square().mean().backward()
        optimizer.step()
        return time.perf_counter() - start

    there = torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8)
    batches = iter(ours(root, "tars", 1, fast_decoding=True)())
    step(there)
    next(batches)
    alone, fed = [], []
    for _ in range(steps):
        alone.append(step(there))
        start = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            break
        waited = time.perf_counter() - start
        fed.append(waited + step(batch[1]))
    ratio = statistics.median(fed) / statistics.median(alone)
    print(
        f"\nA step of {1e3 * statistics.median(alone):.0f} ms alone takes {ratio:.3f} of that when one worker feeds it."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0, help="steps of a training that is fed; 0 leaves it out")
    options = parser.parse_args()
    machine = environment_record()
    torch.set_num_threads(1)
    print(f"{machine['processor']}, torch {machine['versions']['torch']}, {options.images} JPEGs of 500 x 375\n")
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder), options.images)
        throughput(Path(folder), options)
        if options.steps:
            fed_step(Path(folder), options.steps)


if __name__ == "__main__":
    main()
