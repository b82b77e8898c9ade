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


def code_streams(tokens: Sequence[Tensor], sizes: Sequence[int]) -> dict[str, StreamingMetric]:
    """What is counted of the tokens of images, for codebooks of these sizes; ``tokens`` are those of one image."""
    if len(sizes) != len(tokens):
        return {}
    streams: dict[str, StreamingMetric] = {
        f"codebook {number}": CodeUsage(size) for number, size in enumerate(sizes) if size <= LARGEST
    }
    if len(tokens) == 2 and tokens[0].shape == tokens[1].shape and max(sizes) <= LARGEST:
        streams["codebooks 0 and 1"] = CodePairs(*sizes)
    return streams


def take_codes(streams: Mapping[str, Any], tokens: Sequence[Tensor]) -> None:
    """Count the tokens of a batch."""
    for number, indices in enumerate(tokens):
        if f"codebook {number}" in streams:
            streams[f"codebook {number}"].update(indices)
    if "codebooks 0 and 1" in streams:
        streams["codebooks 0 and 1"].update(*tokens)


def add_codes(
    found: Evaluation, streams: Mapping[str, Any], tokens: Sequence[Tensor], sizes: Sequence[int], pixels: int
) -> None:
    """All numbers of the tokens.

    Args:
        found: Where they go.
        streams: As :func:`code_streams` made them, after all images.
        tokens: Those of one image.
        sizes: Of the codebooks.
        pixels: Of an image, for bits a pixel.
    """
    if not tokens:
        return
    places = [part[0].numel() for part in tokens]
    found.add(SECTION, "bits", partial(_bits, places, sizes, pixels))
    coded = 0.0
    for number, count in enumerate(places):
        name = f"codebook {number}"
        if name in streams:
            figures = streams[name].compute()
            coded += count * figures.entropy.item()
            values = {field: getattr(figures, field).item() for field in ("usage", "perplexity", "entropy")}
            found.add(SECTION, name, partial(_prefixed, f"codebook_{number}_", values))
    if sum(name.startswith("codebook ") for name in streams) == len(tokens):
        found.add(SECTION, "bits as coded", lambda: {"bits_a_pixel_as_coded": coded / pixels})
    if "codebooks 0 and 1" in streams:
        pair = streams["codebooks 0 and 1"].compute()._asdict()
        values = {field: pair[field] for field in ("joint_entropy", "mutual_information", "bias")}
        found.add(SECTION, "pairs", partial(_prefixed, "codebooks_", values))


def _bits(places: Sequence[int], sizes: Sequence[int], pixels: int) -> dict[str, float]:
    """Bits as written: each token at the logarithm of its codebook's size."""
    if len(sizes) != len(places):
        raise NotMeasurableError(f"sizes of {len(places)} codebooks are needed, got {len(sizes)}")
    written = sum(count * math.log2(size) for count, size in zip(places, sizes, strict=True))
    return {"tokens_an_image": sum(places), "bits_an_image": written, "bits_a_pixel": written / pixels}


def _prefixed(prefix: str, values: dict[str, float]) -> dict[str, float]:
    return {prefix + name: value for name, value in values.items()}
