"""JPEG and WebP as points of rate and distortion."""

import io
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
    if codec not in _OPTIONS:
        raise ValueError(f"codec must be 'jpeg' or 'webp', got {codec!r}")
    if not 1 <= quality <= (95 if codec == "jpeg" else 100):
        raise ValueError(f"quality must be 1 to 95 for JPEG and 1 to 100 for WebP, got {quality}")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(f"images must be (N, 1 or 3, H, W) with at least one, got {tuple(images.shape)}")
    decibels, similarity, size = PeakSignalNoiseRatio(), StructuralSimilarity(), 0
    for number in range(len(images)):
        pixels = to_uint8(images[number : number + 1]).cpu()
        decoded, length = _through_a_file(pixels, codec, quality)
        decibels.update(decoded, pixels)
        similarity.update(decoded, pixels)
        size += length
    rate = 8 * size / (len(images) * images.shape[-2] * images.shape[-1])
    return RateDistortionPoint(rate, rate, decibels.compute(), similarity.compute())


def _through_a_file(pixels: Tensor, codec: Codec, quality: int) -> tuple[Tensor, int]:
    """One image ``(1, C, H, W)`` after coding and decoding, and the bytes between."""
    import numpy as np
    from PIL import Image

    channels_last = pixels[0].permute(1, 2, 0).numpy()
    mode = "L" if pixels.shape[1] == 1 else "RGB"
    file = io.BytesIO()
    image = Image.fromarray(channels_last[..., 0] if mode == "L" else channels_last)
    image.save(file, format=codec, quality=quality, **_OPTIONS[codec])
    with Image.open(file) as opened:
        decoded = torch.from_numpy(np.array(opened.convert(mode)))
    return decoded.view(pixels.shape[2], pixels.shape[3], -1).permute(2, 0, 1)[None], len(file.getvalue())
