"""What reconstructions are measured by, a batch at a time."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vistok.metrics.distribution.feature_bank import FeatureBank
from vistok.metrics.distribution.frechet import FeatureStatistics
from vistok.metrics.harness.codes import SECTION as CODES
from vistok.metrics.harness.codes import add_codes, check_tokens, code_streams, take_codes
from vistok.metrics.harness.distances import Resampling, add_distance_of_pairs
from vistok.metrics.harness.evaluation import Evaluation
from vistok.metrics.harness.gallery import Gallery
from vistok.metrics.networks.features import FeatureNetwork
from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.pixels import from_uint8
from vistok.metrics.reconstruction.pixel_errors import MeanAbsoluteError
from vistok.metrics.reconstruction.psnr import PeakSignalNoiseRatio, PooledPeakSignalNoiseRatio
from vistok.metrics.reconstruction.ssim import StructuralSimilarity
from vistok.metrics.streaming import MeanOfImages

SECTION = "reconstruction"
_FRECHET = "frechet_distance"  # what its figures' names begin with
_SIDES = ("reconstructions", "originals")
_PIXELS: dict[str, Callable[[], Any]] = {
    "psnr": PeakSignalNoiseRatio,
    "pooled_psnr": PooledPeakSignalNoiseRatio,
    "ssim": StructuralSimilarity,
    "ssim_uniform_window": partial(StructuralSimilarity, window="uniform"),
    "mean_absolute_error": MeanAbsoluteError,
}

#: From images and references in ``[-1, 1]`` to one distance an image: LPIPS, DISTS, whatever else. Of any shape with
#: ``B`` values, ``(B, 1, 1, 1)`` too, or with one, the mean of the batch; it is called without a gradient. A module,
#: or a method of one, gets both on the device of its weights, anything else on the CPU.
Distance = Callable[[Tensor, Tensor], Tensor]


class Measurement(NamedTuple):
    """What is measured beside PSNR, SSIM and the absolute error.

    Attributes:
        network: Where the Frechet distance of reconstructions to originals is measured; none, no distance.
        distances: Further distances by name, no built-in figure's; say in the name which weights they use.
        codebook_sizes: Of the tokenizer's codebooks, in the order of its tokens; by default its own ``codebook_sizes``.
        resampling: What is drawn beside the Frechet distance.
    """

    network: FeatureNetwork | None = None
    distances: Mapping[str, Distance] = {}
    codebook_sizes: Sequence[int] = ()
    resampling: Resampling = Resampling()


class Batch(NamedTuple):
    """Images ``(B, C, H, W)`` uint8, what was made of them, and their tokens ``(B, ...)``, one tensor a codebook.

    ``uncounted`` says why there are no tokens where a tokenizer has some.
    """

    originals: Tensor
    reconstructions: Tensor
    tokens: tuple[Tensor, ...] = ()
    uncounted: str = ""


class ReconstructionMeasures:
    """All streams of an evaluation of reconstructions.

    Args:
        first: A batch of the first image, whose shapes tell those of all.
        measurement: What is measured.

    Raises:
        ValueError: Tokens of these or of later images are not one tensor ``(B, ...)`` a codebook, or a distance has the
            name of a built-in figure.
    """

    def __init__(self, first: Batch, measurement: Measurement) -> None:
        self.first, self.measurement = first, measurement
        check_tokens(first.tokens, len(first.originals), first.tokens)
        taken = [name for name in measurement.distances if name in _PIXELS or name.startswith(_FRECHET)]
        if taken:
            raise ValueError(f"distances: expected names that no built-in figure has, got {', '.join(taken)}")
        self.gallery = Gallery(first.originals.shape[1:])
        #: By name; what is kept, joined and restored.
        self.streams: dict[str, Any] = {}
        #: Why a measure of pixels does not take images of this size.
        self.refused: dict[str, str] = {}
        for name, make in _PIXELS.items():
            try:
                make().update(first.reconstructions, first.originals)
            except NotMeasurableError as error:
                self.refused[name] = str(error)
            else:
                self.streams[name] = make()
        self.measured = tuple(self.streams)
        self.streams["gallery"] = self.gallery
        self.streams |= {f"distance {name}": MeanOfImages() for name in measurement.distances}
        self.codes = code_streams(first.tokens, measurement.codebook_sizes)
        self.streams |= self.codes
        if measurement.network is not None:
            dim = measurement.network(first.originals).pooled.shape[1]
            self.streams |= {side: FeatureStatistics(dim) for side in _SIDES}
            seed, _, kept = measurement.resampling
            # The same images of both sides: which ones are kept depends on their numbers and the seed alone.
            self.streams |= {f"{side}: kept": FeatureBank(dim, capacity=kept, seed=seed) for side in _SIDES}

    def take(self, indices: Sequence[int], batch: Batch) -> None:
        """Put a batch into every stream."""
        streams, measurement, where = self.streams, self.measurement, torch.tensor(indices)
        check_tokens(batch.tokens, len(batch.originals), self.first.tokens)
        for name in self.measured:
            streams[name].update(batch.reconstructions, batch.originals)
        self.gallery.update(where, batch.originals, batch.reconstructions)
        take_codes(self.codes, batch.tokens)
        if measurement.network is not None:
            for side, images in zip(_SIDES, (batch.reconstructions, batch.originals), strict=True):
                seen = measurement.network(images).pooled
                streams[side].update(seen)
                streams[f"{side}: kept"].update(seen, where)
        if measurement.distances:
            pair = from_uint8(batch.reconstructions), from_uint8(batch.originals)
            for name, distance in measurement.distances.items():
                streams[f"distance {name}"].add(_of_each_image(name, distance, *pair))

    def add_to(self, found: Evaluation) -> None:
        """Put all numbers into an evaluation."""
        streams, measurement = self.streams, self.measurement
        found.left_out |= {f"{SECTION}: {name}": why for name, why in self.refused.items()}
        for name in self.measured:
            found.add(SECTION, name, partial(_named, name, streams[name].compute))
        for name in measurement.distances:
            found.add(SECTION, name, partial(_named, name, streams[f"distance {name}"].compute))
        if measurement.network is not None:
            made, originals = (streams[side] for side in _SIDES)
            kept = streams[f"{_SIDES[0]}: kept"].compute(), streams[f"{_SIDES[1]}: kept"].compute()
            add_distance_of_pairs(found, SECTION, (made, originals), kept, measurement.resampling)
        if self.first.uncounted:
            found.left_out[f"{CODES}: tokens"] = self.first.uncounted
        pixels = self.first.originals.shape[-2] * self.first.originals.shape[-1]
        add_codes(found, self.codes, self.first.tokens, measurement.codebook_sizes, pixels)


@torch.no_grad()
def _of_each_image(name: str, distance: Distance, made: Tensor, real: Tensor) -> Tensor:
    """Distances ``(B,)``; one value for all is that of each."""
    module = getattr(distance, "__self__", distance)
    if isinstance(module, nn.Module):
        device = next((weight.device for weight in module.parameters()), made.device)
        made, real = made.to(device), real.to(device)
    values = distance(made, real)
    if values.numel() not in (1, len(made)):
        wanted = f"one value, or one of each of {len(made)} images"
        raise ValueError(f"distance {name!r}: expected {wanted}, got shape {tuple(values.shape)}")
    return values.flatten().expand(len(made))


def _named(name: str, measure: Callable[[], float]) -> dict[str, float]:
    return {name: measure()}
