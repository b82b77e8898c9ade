"""Evaluate a tokenizer, or images beside their reconstructions, in one streamed pass."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from vistok.metrics.harness.choices import of_images, of_network, of_tokenizer, versions
from vistok.metrics.harness.codec_baselines import add_codecs
from vistok.metrics.harness.codes import checked_sizes
from vistok.metrics.harness.evaluation import Evaluation, ready_folder
from vistok.metrics.harness.evaluation_page import write_page
from vistok.metrics.harness.reconstruction_measures import Batch, Measurement, ReconstructionMeasures
from vistok.metrics.harness.reconstructor import reconstruct
from vistok.metrics.harness.streamed_pass import forget_pass, streamed_pass
from vistok.metrics.images.pairs import open_pairs
from vistok.metrics.images.sources import ImageSource, open_images
from vistok.metrics.ranks import own_rank


def evaluate_tokenizer(
    tokenizer: Any,
    images: str | Path | Tensor | ImageSource,
    measurement: Measurement | None = None,
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
    and one that was killed goes on, with these weights and no others.

    Args:
        tokenizer: Any object with ``encode`` and ``decode`` or with ``reconstruct``, see :func:`reconstruct`.
        images: A folder, an ``.npz``, a uint8 tensor, or any :class:`ImageSource`.
        measurement: What is measured beside PSNR, SSIM and the absolute error.
        image_size: Pixels a side; needed where images are cropped.
        crop: How images are brought to it, see :func:`open_images`.
        batch_size: Images at a time.
        seed: For decoders that draw: each batch has draws of its own.
        folder: Where results are written, and an unfinished pass is kept.
        training: Images that it was trained on: with them, JPEG, WebP and principal components stand beside a
            tokenizer with codebooks, at its rate; beside another they are left out, with the reason. Of several
            processes the first computes and has these alone.
        name: What the evaluation calls the tokenizer; its class by default.

    Raises:
        TypeError: The tokenizer has none of the methods, or sizes of codebooks are no sequence of whole numbers.
        ValueError: Images cannot be read or taken, reconstructions have another shape or range, or tokens are not one
            tensor ``(B, ...)`` a codebook; in one line.
        OSError: The folder cannot be written to.

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
    measurement = measurement or Measurement()
    sizes = checked_sizes(measurement.codebook_sizes) or checked_sizes(getattr(tokenizer, "codebook_sizes", None))
    measurement = measurement._replace(codebook_sizes=sizes)
    choices = {"subject": name or type(tokenizer).__name__, "decoder seed": seed, "batch size": batch_size}
    choices |= {**of_tokenizer(tokenizer), **of_images("images", source.describe())}
    trained_on = None
    if training is not None:
        trained_on = open_images(training, image_size=image_size, crop=crop)
        if trained_on.shape != source.shape:
            raise ValueError(f"training images must be {source.shape} as the images are, got {trained_on.shape}")
        choices |= of_images("training", trained_on.describe())

    def batch(indices: Sequence[int]) -> Batch:
        originals = source.batch(indices)
        return Batch(originals, *reconstruct(tokenizer, originals, seed=seed * 1_000_003 + indices[0]))

    def beside(found: Evaluation) -> None:
        if trained_on is not None and own_rank().number == 0:
            add_codecs(found, source, trained_on, found.measures.get("codes", {}).get("bits_per_pixel"))

    return _evaluate(source.names, batch, measurement, choices, beside, batch_size=batch_size, folder=folder)


def evaluate_pairs(
    originals: str | Path | Tensor | ImageSource,
    reconstructions: str | Path | Tensor | ImageSource,
    measurement: Measurement | None = None,
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
    choices = {"subject": f"reconstructions of {described['second: source']}", "batch size": batch_size, **described}
    return _evaluate(pairs.names, batch, measurement or Measurement(), choices, batch_size=batch_size, folder=folder)


def _evaluate(
    names: Sequence[str],
    batch: Callable[[Sequence[int]], Batch],
    measurement: Measurement,
    choices: dict[str, Any],
    beside: Callable[[Evaluation], None] | None = None,
    *,
    batch_size: int,
    folder: str | Path | None,
) -> Evaluation:
    began, place = time.monotonic(), ready_folder(folder)
    choices = {"count": len(names), **choices, **of_network(measurement.network)}
    choices |= {**measurement.resampling.choices(), **versions()}
    measures = ReconstructionMeasures(batch(range(1)), measurement)

    def step(indices: Sequence[int]) -> None:
        measures.take(indices, batch(indices))

    earlier = streamed_pass(len(names), step, measures.streams, batch_size=batch_size, folder=place, choices=choices)
    found = Evaluation(choices)
    measures.add_to(found)
    if beside is not None:
        beside(found)
    found.choices["seconds"] = round(earlier + time.monotonic() - began, 1)
    if place is not None and own_rank().number == 0:
        write_page(place, found, measures.gallery.compute(), names)
        found.write(place)
        forget_pass(place)
    return found
