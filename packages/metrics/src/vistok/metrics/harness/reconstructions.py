"""Evaluate a tokenizer, or images beside their reconstructions, in one streamed pass."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from vistok.metrics.harness.baselines import add_baselines
from vistok.metrics.harness.choices import of_images, of_network, versions
from vistok.metrics.harness.evaluation import Evaluation
from vistok.metrics.harness.evaluation_page import write_page
from vistok.metrics.harness.reconstruction_measures import Batch, Numbers, ReconstructionMeasures
from vistok.metrics.harness.reconstructor import reconstruct
from vistok.metrics.harness.streamed_pass import streamed_pass
from vistok.metrics.images.pairs import open_pairs
from vistok.metrics.images.sources import ImageSource, open_images
from vistok.metrics.ranks import own_rank


def evaluate_tokenizer(
    tokenizer: Any,
    images: str | Path | Tensor | ImageSource,
    numbers: Numbers | None = None,
    *,
    image_size: int | None = None,
    crop: str = "none",
    batch_size: int = 32,
    seed: int = 0,
    folder: str | Path | None = None,
    training: str | Path | Tensor | ImageSource | None = None,
    name: str | None = None,
) -> Evaluation:
    """Reconstruct images with any tokenizer and measure how well, in memory that does not grow with their number.

    Images are cropped once and both sides get the same pixels. Several processes share the images and give the numbers
    of one. With a folder the evaluation is written there (``evaluation.json``, ``evaluation.md``, ``evaluation.html``),
    and one that was killed goes on.

    Args:
        tokenizer: Any object with ``encode`` and ``decode`` or with ``reconstruct``, see :func:`reconstruct`.
        images: A folder, an ``.npz``, a uint8 tensor, or any :class:`ImageSource`.
        numbers: What is measured beside PSNR, SSIM and the absolute error.
        image_size: Pixels a side; needed where images are cropped.
        crop: How images are brought to it, see :func:`open_images`.
        batch_size: Images at a time.
        seed: For decoders that draw: each batch has draws of its own.
        folder: Where results are written, and an unfinished pass is kept.
        training: Images that it was trained on: with them, JPEG, WebP and principal components stand beside a
            tokenizer with codebooks, at its rate.
        name: What the evaluation calls the tokenizer; its class by default.

    Raises:
        TypeError: The tokenizer has none of the methods.
        ValueError: Images cannot be read, or reconstructions have another shape or range; in one line.

    Example:
        >>> import torch
        >>> class Coarse:
        ...     def encode(self, images): return (images > 0).long()
        ...     def decode(self, tokens): return tokens * 2.0 - 1.0
        >>> pictures = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 16, 16)
        >>> found = evaluate_tokenizer(Coarse(), pictures)
        >>> found.measures["reconstruction"]["psnr"], found.choices["count"]
        (inf, 2)
    """
    source = open_images(images, image_size=image_size, crop=crop)
    numbers = numbers or Numbers()
    if not numbers.codebook_sizes:
        numbers = numbers._replace(codebook_sizes=tuple(getattr(tokenizer, "codebook_sizes", ())))

    def batch(indices: Sequence[int]) -> Batch:
        originals = source.batch(indices)
        return Batch(originals, *reconstruct(tokenizer, originals, seed=seed * 1_000_003 + indices[0]))

    def beside(found: Evaluation) -> None:
        rate = found.measures.get("codes", {}).get("bits_a_pixel")
        if training is not None and rate is not None:
            add_baselines(found, source, open_images(training, image_size=image_size, crop=crop), rate)

    choices = {"subject": name or type(tokenizer).__name__, "seed": seed, "batch size": batch_size}
    choices |= of_images("images", source.describe())
    return _evaluate(len(source), batch, numbers, choices, beside, batch_size=batch_size, folder=folder)


def evaluate_pairs(
    originals: str | Path | Tensor | ImageSource,
    reconstructions: str | Path | Tensor | ImageSource,
    numbers: Numbers | None = None,
    *,
    image_size: int | None = None,
    crop: str = "none",
    batch_size: int = 32,
    folder: str | Path | None = None,
) -> Evaluation:
    """Measure reconstructions that exist already, beside their originals; the rest as :func:`evaluate_tokenizer`.

    Folders are matched by the names of their files, arrays by position.

    Example:
        >>> import torch
        >>> pictures = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 16, 16)
        >>> evaluate_pairs(pictures, pictures // 2 + 64).measures["reconstruction"]["mean_absolute_error"]
        64.0
    """
    pairs = open_pairs(originals, reconstructions, image_size=image_size, crop=crop)

    def batch(indices: Sequence[int]) -> Batch:
        return Batch(*pairs.batch(indices))

    described = pairs.describe()
    choices = {"subject": f"reconstructions of {described['second: source']}", **described}
    return _evaluate(len(pairs), batch, numbers or Numbers(), choices, batch_size=batch_size, folder=folder)


def _evaluate(
    count: int,
    batch: Callable[[Sequence[int]], Batch],
    numbers: Numbers,
    choices: dict[str, Any],
    beside: Callable[[Evaluation], None] | None = None,
    *,
    batch_size: int,
    folder: str | Path | None,
) -> Evaluation:
    began = time.monotonic()
    choices = {"count": count, **choices, **of_network(numbers.network), **numbers.chance._asdict(), **versions()}
    measures = ReconstructionMeasures(batch(range(1)), numbers)
    place = None if folder is None else Path(folder)

    def step(indices: Sequence[int]) -> None:
        measures.take(indices, batch(indices))

    streamed_pass(count, step, measures.streams, batch_size=batch_size, folder=place, choices=choices)
    found = Evaluation(choices)
    measures.add_to(found)
    if beside is not None:
        beside(found)
    found.choices["seconds"] = round(time.monotonic() - began, 1)
    if place is not None and own_rank().number == 0:
        found.write(place)
        write_page(place, found, measures.gallery.compute())
    return found
