"""JPEG and WebP as points of rate and distortion."""

import io
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from vistok.metrics.pixels import to_uint8
from vistok.metrics.rate.rate_distortion import RateDistortionPoint
from vistok.metrics.reconstruction.psnr import PeakSignalNoiseRatio
from vistok.metrics.reconstruction.ssim import StructuralSimilarity

Codec = Literal["jpeg", "webp"]

_OPTIONS: dict[str, dict[str, object]] = {"jpeg": {"optimize": True}, "webp": {"method": 6}}


def image_codec_point(images: Tensor, *, codec: Codec, quality: int) -> RateDistortionPoint:
    """Rate and distortion of images as files of a codec, every byte counted.

    Pillow's encoders: JPEG with optimised tables and its default subsampling of colours (4:2:0), WebP lossy at its
    slowest method. A file's header is part of it: of an image of 32 pixels it is most of a JPEG.

    Args:
        images: In ``[-1, 1]`` (rounded to 8 bits first), or uint8.
        codec: ``"jpeg"`` or ``"webp"``.
        quality: 1 (smallest) to 95 for JPEG, to 100 for WebP.

    Shape:
        - images: ``(N, 1 or 3, H, W)``, at least one.

    Range:
        Both rates are equal: a file is coded.

    Raises:
        ValueError: Not ``(N, 1 or 3, H, W)``, no image, no such codec or quality.
        NotMeasurableError: Images are smaller than SSIM's window.

    Example:
        >>> flat = torch.zeros(1, 3, 64, 64)
        >>> point = image_codec_point(flat, codec="webp", quality=50)
        >>> point.bits_per_pixel < 0.5, point.ssim > 0.99
        (True, True)
    """
    decibels, similarity, size = PeakSignalNoiseRatio(), StructuralSimilarity(), 0
    for pixels in _each(images, codec, quality):
        file = _coded(pixels, codec, quality)
        decoded = _decoded(file, pixels.shape)
        decibels.update(decoded, pixels)
        similarity.update(decoded, pixels)
        size += len(file)
    rate = 8 * size / (len(images) * images.shape[-2] * images.shape[-1])
    return RateDistortionPoint(rate, rate, decibels.compute(), similarity.compute())


def codec_bits_per_pixel(images: Tensor, *, codec: Codec, quality: int) -> float:
    """The rate alone of :func:`image_codec_point`, which is quicker to have."""
    size = sum(len(_coded(pixels, codec, quality)) for pixels in _each(images, codec, quality))
    return 8 * size / (len(images) * images.shape[-2] * images.shape[-1])


def _each(images: Tensor, codec: Codec, quality: int) -> Iterator[Tensor]:
    """8-bit images one by one, after the checks."""
    if codec not in _OPTIONS:
        raise ValueError(f"codec must be 'jpeg' or 'webp', got {codec!r}")
    if not 1 <= quality <= (95 if codec == "jpeg" else 100):
        raise ValueError(f"quality must be 1 to 95 for JPEG and 1 to 100 for WebP, got {quality}")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(f"images must be (N, 1 or 3, H, W) with at least one, got {tuple(images.shape)}")
    for image in images:
        yield to_uint8(image[None]).cpu()


def _coded(pixels: Tensor, codec: Codec, quality: int) -> bytes:
    """The file of one image ``(1, C, H, W)``."""
    from PIL import Image

    channels_last = pixels[0].permute(1, 2, 0).numpy()
    file = io.BytesIO()
    image = Image.fromarray(channels_last[..., 0] if pixels.shape[1] == 1 else channels_last)
    image.save(file, format=codec, quality=quality, **_OPTIONS[codec])
    return file.getvalue()


def _decoded(file: bytes, shape: torch.Size) -> Tensor:
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(file)) as opened:
        values = torch.from_numpy(np.array(opened.convert("L" if shape[1] == 1 else "RGB")))
    return values.view(shape[2], shape[3], shape[1]).permute(2, 0, 1)[None]
