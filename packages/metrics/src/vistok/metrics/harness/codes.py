"""The numbers of an evaluation about tokens: how codebooks are used, what two share, bits written and as coded."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from vistok.metrics.codes.code_pairs import CodePairs
from vistok.metrics.codes.code_usage import CodeUsage
from vistok.metrics.harness.evaluation import Evaluation
from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.streaming import StreamingMetric

SECTION = "codes"
#: Codes of a codebook that are counted one by one, at most.
LARGEST = 1 << 24
_PAIR = "codebooks 0 and 1"


def checked_sizes(sizes: Any) -> tuple[int, ...]:
    """Sizes of codebooks as a tuple; ``None`` means that there are none.

    Raises:
        TypeError: They are no sequence of whole numbers.
    """
    if sizes is None:
        return ()
    if not isinstance(sizes, Sequence) or not all(isinstance(size, int) for size in sizes):
        raise TypeError(f"codebook_sizes: expected a sequence of whole numbers, one a codebook, got {sizes!r}")
    return tuple(sizes)


def check_tokens(tokens: Sequence[Tensor], count: int, first: Sequence[Tensor]) -> None:
    """Refuse tokens of images that are not one tensor ``(B, ...)`` a codebook, as those of the ``first`` image are.

    Raises:
        ValueError: So many images have tokens of another layout.
    """
    wanted = [(count, *part.shape[1:]) for part in first]
    found = [tuple(part.shape) for part in tokens]
    if found != wanted:
        raise ValueError(f"encode: expected tokens (B, ...) of {count} images, one tensor a codebook, got {found}")


def code_streams(tokens: Sequence[Tensor], sizes: Sequence[int]) -> dict[str, StreamingMetric]:
    """What is counted of the tokens of images, for codebooks of these sizes; ``tokens`` are those of one image."""
    if len(sizes) != len(tokens):
        return {}
    streams: dict[str, StreamingMetric] = {
        f"codebook {number}": CodeUsage(size) for number, size in enumerate(sizes) if size <= LARGEST
    }
    if len(tokens) == 2 and tokens[0].shape == tokens[1].shape and max(sizes) <= LARGEST:
        streams[_PAIR] = CodePairs(*sizes)
    return streams


def take_codes(streams: Mapping[str, Any], tokens: Sequence[Tensor]) -> None:
    """Count the tokens of a batch."""
    for number, indices in enumerate(tokens):
        if f"codebook {number}" in streams:
            streams[f"codebook {number}"].update(indices)
    if _PAIR in streams:
        streams[_PAIR].update(*tokens)


def add_codes(
    found: Evaluation, streams: Mapping[str, Any], tokens: Sequence[Tensor], sizes: Sequence[int], pixels: int
) -> None:
    """All numbers of the tokens.

    Args:
        found: Where they go.
        streams: As :func:`code_streams` made them, after all images.
        tokens: Those of one image.
        sizes: Of the codebooks.
        pixels: Of an image, for bits per pixel.
    """
    if not tokens:
        return
    places = [part[0].numel() for part in tokens]
    found.add(SECTION, "bits", partial(_bits, places, sizes, pixels))
    if len(sizes) != len(tokens):
        return
    for number, size in enumerate(sizes):
        found.add(SECTION, f"codebook {number}", partial(_usage, streams, number, size))
    found.add(SECTION, "bits as coded", partial(_bits_as_coded, streams, places, pixels))
    if _PAIR in streams:
        found.add(SECTION, _PAIR, partial(_shared, streams[_PAIR]))


def _bits(places: Sequence[int], sizes: Sequence[int], pixels: int) -> dict[str, float]:
    """Bits as written: each token at the logarithm of its codebook's size."""
    if len(sizes) != len(places):
        raise NotMeasurableError(f"sizes of {len(places)} codebooks are needed, got {len(sizes)}")
    written = sum(count * math.log2(size) for count, size in zip(places, sizes, strict=True))
    return {"tokens_per_image": sum(places), "bits_per_image": written, "bits_per_pixel": written / pixels}


def _usage(streams: Mapping[str, Any], number: int, size: int) -> dict[str, float]:
    if f"codebook {number}" not in streams:
        raise NotMeasurableError(f"{size:,} codes are not counted one by one, at most {LARGEST:,} are")
    measures = streams[f"codebook {number}"].compute()
    return {f"codebook_{number}_{name}": float(getattr(measures, name)) for name in ("usage", "perplexity", "entropy")}


def _bits_as_coded(streams: Mapping[str, Any], places: Sequence[int], pixels: int) -> dict[str, float]:
    """Each token at the entropy of its codebook."""
    if any(f"codebook {number}" not in streams for number in range(len(places))):
        raise NotMeasurableError("the entropy of every codebook is needed")
    entropies = [float(streams[f"codebook {number}"].compute().entropy) for number in range(len(places))]
    coded = sum(count * entropy for count, entropy in zip(places, entropies, strict=True))
    return {"bits_per_pixel_as_coded": coded / pixels}


def _shared(pair: CodePairs) -> dict[str, float]:
    found = pair.compute()
    return {
        "joint_entropy": found.joint_entropy,
        "mutual_information": found.mutual_information,
        "mutual_information_bias": found.bias,
    }
