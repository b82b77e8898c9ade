"""Memory and time of streamed metrics at more and more images, beside torchmetrics on the same images.

    python benchmarks/metrics.py [--counts 500 4000] [--size 256] [--features 512] [--batch 20] [--sides ours]

Images are random blocks of 8-bit pixels and the same with noise, made batch by batch; features and class probabilities
are a random linear map of them, the same on both sides. Each row is a process of its own with one thread: its own time
without that of making images and features, and how much its memory grew, at its peak, over what it was after the first
batch. Of neighbours a sample of at most 5,000 images is kept, in float16; torchmetrics has none.
"""

import argparse
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

CLASSES = 1000
KEPT = 5000
SUBJECTS = ("PSNR", "SSIM", "Frechet", "Inception Score", "neighbours")


class Batch(NamedTuple):
    """Some images: their numbers, both sides, features of both, class probabilities and logits of the second."""

    numbers: Tensor
    originals: Tensor
    images: Tensor
    of_originals: Tensor
    of_images: Tensor
    logits: Tensor


class Given(nn.Module):
    """A network's place in torchmetrics, where features are given."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.num_features = outputs

    def forward(self, features: Tensor) -> Tensor:
        """The features themselves."""
        return features


def batches(count: int, size: int, batch: int, dim: int) -> Iterator[Batch]:
    draws = torch.Generator().manual_seed(1)
    weights, heads = (torch.randn(192, outputs, generator=draws) / 8 for outputs in (dim, CLASSES))
    for numbers in torch.arange(count).split(batch):
        grid = torch.randint(256, (len(numbers), 3, 8, 8), dtype=torch.uint8, generator=draws)
        originals = grid.repeat_interleave(size // 8, dim=2).repeat_interleave(size // 8, dim=3)
        noise = torch.randint(16, (len(numbers), 3, size, size), dtype=torch.uint8, generator=draws)
        flat = (grid.float().flatten(1) - 128) / 32
        changed = flat / 2 + torch.randn(flat.shape, generator=draws) / 4
        yield Batch(numbers, originals, originals // 2 + noise + 50, flat @ weights, changed @ weights, changed @ heads)


def ours(subject: str, dim: int) -> tuple[Callable[[Batch], None], Callable[[], object]]:
    from vistok import metrics

    if subject in ("PSNR", "SSIM"):
        metric = metrics.PeakSignalNoiseRatio() if subject == "PSNR" else metrics.StructuralSimilarity()
        return lambda batch: metric.update(batch.images, batch.originals), metric.compute
    if subject == "Inception Score":
        score = metrics.InceptionScore(CLASSES)
        return lambda batch: score.update(batch.logits.softmax(1), batch.numbers), score.compute
    if subject == "Frechet":
        first, second = metrics.FeatureStatistics(dim), metrics.FeatureStatistics(dim)

        def count(batch: Batch) -> None:
            first.update(batch.of_originals)
            second.update(batch.of_images)

        return count, lambda: metrics.frechet_distance(first, second)
    real, samples = (metrics.FeatureBank(dim, capacity=KEPT, dtype=torch.float16) for _ in range(2))

    def keep(batch: Batch) -> None:
        real.update(batch.of_originals, batch.numbers)
        samples.update(batch.of_images, batch.numbers)

    return keep, lambda: metrics.neighbour_measures(real.compute(), samples.compute())[5]


def torchmetrics(subject: str, dim: int) -> tuple[Callable[[Batch], None], Callable[[], object]] | None:
    from vistok.metrics.networks._torchvision_schemas import declare_missing_operators

    declare_missing_operators()
    from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore

    if subject == "PSNR":
        ratio = PeakSignalNoiseRatio(data_range=255.0, reduction="elementwise_mean", dim=(1, 2, 3))
        return lambda batch: ratio.update(batch.images.float(), batch.originals.float()), ratio.compute
    if subject == "SSIM":
        similarity = StructuralSimilarityIndexMeasure(data_range=255.0)
        return lambda batch: similarity.update(batch.images.float(), batch.originals.float()), similarity.compute
    if subject == "Inception Score":
        score = InceptionScore(feature=Given(CLASSES))
        return lambda batch: score.update(batch.logits), score.compute
    if subject == "neighbours":
        return None
    distance = FrechetInceptionDistance(feature=Given(dim), input_img_size=(dim,))

    def count(batch: Batch) -> None:
        distance.update(batch.of_originals, real=True)
        distance.update(batch.of_images, real=False)

    return count, distance.compute


def peak() -> float:
    """Megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@torch.no_grad()
def measure(side: str, subject: str, count: int, size: int, dim: int, batch: int) -> str:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    made = {"ours": ours, "torchmetrics": torchmetrics}[side](subject, dim)
    if made is None:
        return ""
    update, compute = made
    spent, before = 0.0, 0.0
    for some in batches(count, size, batch, dim):
        start = time.process_time()
        update(some)
        spent += time.process_time() - start
        before = before or peak()
    start = time.process_time()
    value = compute()
    ending = time.process_time() - start
    figures = ", ".join(f"{float(part):.4f}" for part in (value if isinstance(value, tuple) else (value,)))
    row = f"{1000 * spent / count:.2f} | {ending:.1f} | {peak() - before:.0f} | {figures}"
    return f"| {subject} | {side} | {count:,} | {row} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[500, 4000])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--subjects", nargs="+", default=list(SUBJECTS), choices=SUBJECTS)
    parser.add_argument("--sides", nargs="+", default=["ours", "torchmetrics"], choices=["ours", "torchmetrics"])
    parser.add_argument("--one", nargs=3, metavar=("SIDE", "SUBJECT", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    shape = options.size, options.features, options.batch
    if options.one:
        side, subject, count = options.one
        print(measure(side, subject, int(count), *shape))
        return
    print(
        "| what | whose | images | ms an image | s at the end | growth, MB | figure |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    given = [f"--{name}={value}" for name, value in zip(("size", "features", "batch"), shape, strict=True)]
    for subject in options.subjects:
        for count in options.counts:
            for side in options.sides:
                command = [sys.executable, __file__, *given, "--one", side, subject, str(count)]
                row = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
                if row:
                    print(row, flush=True)


if __name__ == "__main__":
    main()
