"""A tokenizer as a point: bits a pixel, and how far its reconstructions are off."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.codes._indices import checked_indices
from vistok.metrics.rate.token_rate import token_rate
from vistok.metrics.reconstruction.psnr import psnr
from vistok.metrics.reconstruction.ssim import ssim
from vistok.metrics.streaming import StreamingMetric


class RateDistortionPoint(NamedTuple):
    """Bits and distortion of a set of images.

    Attributes:
        bits_per_pixel: As written; a pixel is a position, of however many channels.
        coded_bits_per_pixel: By an ideal code of the codes' frequencies; of a file, its own bits.
        psnr: Mean over images, in dB (:func:`vistok.metrics.psnr`).
        ssim: Mean over images, Gaussian window (:func:`vistok.metrics.ssim`).
    """

    bits_per_pixel: float
    coded_bits_per_pixel: float
    psnr: float
    ssim: float


def rate_distortion_point(
    images: Tensor, references: Tensor, tokens: Sequence[Tensor], codebook_sizes: Sequence[int]
) -> RateDistortionPoint:
    """Rate and distortion of reconstructions ``images`` of ``references`` from ``tokens`` of codebooks of
    ``codebook_sizes``; see :class:`RateDistortion`.
    """
    metric = RateDistortion(codebook_sizes)
    metric.update(images, references, *tokens)
    return metric.compute()


class RateDistortion(StreamingMetric):
    r"""Bits a pixel and distortion of a stream of images.

    .. math::
        \mathrm{bits} = \frac{1}{P} \sum_c T_c \log_2 K_c, \qquad
        \mathrm{coded} = \frac{1}{P} \sum_c T_c H_c

    over codebooks ``c`` with :math:`T_c` tokens, size :math:`K_c` and entropy :math:`H_c` of the codes' frequencies
    (:func:`token_rate`), and :math:`P` pixels. Codebooks are coded one by one.

    Args:
        codebook_sizes: Codes of each codebook.

    Shape:
        - update: images (the reconstructions) and references ``(B, C, H, W)``, in ``[-1, 1]`` or uint8; tokens, one
          integer tensor ``(B, ...)`` a codebook.

    Range:
        ``coded_bits_per_pixel`` in ``[0, bits_per_pixel]``.

    Gradient:
        None: this is a measurement.

    Raises:
        ValueError: Images that do not belong together, not one tensor of tokens a codebook, an index outside it.
        TypeError: Tokens are no whole numbers.
        NotMeasurableError: Images are smaller than SSIM's window; ``compute`` before the first image.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`.

    Example:
        >>> images = torch.zeros(2, 1, 16, 16)
        >>> point = rate_distortion_point(images + 0.2, images, [torch.tensor([[0, 3], [1, 2]])], [4])
        >>> point.bits_per_pixel == 2 * 2 / 256, round(point.psnr, 1)
        (True, 20.2)
    """

    def __init__(self, codebook_sizes: Sequence[int]) -> None:
        if not codebook_sizes or min(codebook_sizes) < 1:
            raise ValueError(f"codebook_sizes must be at least 1, got {list(codebook_sizes)}")
        self.codebook_sizes = tuple(codebook_sizes)
        super().__init__()

    def _empty(self) -> dict[str, Tensor]:
        whole, real = (torch.zeros((), dtype=dtype) for dtype in (torch.int64, torch.float64))
        counts = torch.zeros(sum(self.codebook_sizes), dtype=torch.int64)
        return {"counts": counts, "images": whole, "pixels": whole, "decibels": real, "similarity": real}

    def update(self, images: Tensor, references: Tensor, *tokens: Tensor) -> None:
        """Take in a batch of reconstructions, their references, and the tokens of each codebook that they are of."""
        lengths = [len(one) for one in tokens]
        if lengths != [len(images)] * len(self.codebook_sizes):
            raise ValueError(
                f"tokens must be {len(self.codebook_sizes)} tensors of {len(images)} images, got {lengths}"
            )
        counts = [
            checked_indices(one, size, "tokens").flatten().bincount(minlength=size)
            for one, size in zip(tokens, self.codebook_sizes, strict=True)
        ]
        batch = {
            "counts": torch.cat(counts),
            "images": torch.tensor(len(images)),
            "pixels": torch.tensor(len(images) * images.shape[-2] * images.shape[-1]),
            "decibels": psnr(images, references).sum().cpu(),
            "similarity": ssim(images, references).sum().cpu(),
        }
        self._add(batch)

    def compute(self) -> RateDistortionPoint:
        """The point of all images."""
        images, pixels = int(self._state["images"]), int(self._state["pixels"])
        self._need(images, "image")
        written, coded = 0.0, 0.0
        for counts in self._state["counts"].split(list(self.codebook_sizes)):
            rate, count = token_rate(counts), int(counts.sum())
            written, coded = written + count * rate.written, coded + count * rate.coded
        distortion = (float(self._state[name] / images) for name in ("decibels", "similarity"))
        return RateDistortionPoint(written / pixels, coded / pixels, *distortion)
