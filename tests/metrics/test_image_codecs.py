"""JPEG and WebP as points of rate and distortion."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from _support.mutants import catches
from _support.strategies import uniform
from vistok.metrics import image_codec_point, psnr, ssim, to_uint8
from vistok.metrics.rate.image_codecs import codec_bits_per_pixel

SUBJECT = "vistok.metrics.rate.image_codecs"


def pictures(count=3, channels=3, height=24, width=32):
    """Smooth, with some noise."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    waves = torch.stack([torch.sin(3 * x + n) * torch.cos(2 * y - n) for n in range(count * channels)])
    return to_uint8(0.8 * waves.view(count, channels, height, width) + 0.1 * uniform(0, count, channels, height, width))


@catches(SUBJECT, "rate = 8 * size", "rate = size")
@catches(SUBJECT, "return 8 * size", "return size")
@catches(
    SUBJECT, "(len(images) * images.shape[-2] * images.shape[-1])\n    return Rate", "images.numel()\n    return Rate"
)
@catches(SUBJECT, ".permute(2, 0, 1)[None]", ".permute(2, 1, 0).transpose(1, 2).flip(0)[None]")
@catches(SUBJECT, '"jpeg": {"optimize": True}', '"jpeg": {}')
def test_it_is_what_pillows_files_are_and_hold():
    images = pictures()
    for codec, options in (("jpeg", {"optimize": True}), ("webp", {"method": 6})):
        decoded, size = [], 0
        for image in images:
            file = io.BytesIO()
            Image.fromarray(np.moveaxis(image.numpy(), 0, -1)).save(file, codec, quality=60, **options)
            size += file.tell()
            decoded.append(torch.from_numpy(np.moveaxis(np.asarray(Image.open(file)), -1, 0).copy()))
        point = image_codec_point(images, codec=codec, quality=60)
        assert point.bits_per_pixel == point.coded_bits_per_pixel == 8 * size / (3 * 24 * 32)
        assert codec_bits_per_pixel(images, codec=codec, quality=60) == point.bits_per_pixel
        assert point.psnr == pytest.approx(psnr(torch.stack(decoded), images).mean().item(), abs=1e-12)
        assert point.ssim == pytest.approx(ssim(torch.stack(decoded), images).mean().item(), abs=1e-12)


@catches(SUBJECT, "quality=quality, **_OPTIONS", "quality=75, **_OPTIONS")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("codec", ["jpeg", "webp"])
def test_quality_buys_less_distortion(codec, channels):
    low, high = (image_codec_point(pictures(channels=channels), codec=codec, quality=q) for q in (5, 90))
    assert low.bits_per_pixel < high.bits_per_pixel
    assert low.psnr < high.psnr
    assert low.ssim < high.ssim


def test_8_bit_and_float_images_are_one():
    images = pictures()
    floats = images.float() / 127.5 - 1
    first, second = (image_codec_point(side, codec="jpeg", quality=50) for side in (images, floats))
    assert first == second


@catches(SUBJECT, "or not len(images)", "")
@catches(SUBJECT, "95 if codec == ", "100 if codec == ")
def test_bad_input_is_named():
    images = pictures()
    for values, codec, quality, words in (
        (images, "png", 50, "codec must be 'jpeg' or 'webp', got 'png'"),
        (images, "jpeg", 96, "quality must be 1 to 95 for JPEG"),
        (images, "webp", 0, "quality must be 1 to 95 for JPEG and 1 to 100 for WebP, got 0"),
        (images[:, :2], "jpeg", 50, r"\(N, 1 or 3, H, W\) with at least one, got \(3, 2, 24, 32\)"),
        (images[:0], "jpeg", 50, "with at least one"),
    ):
        with pytest.raises(ValueError, match=words):
            image_codec_point(values, codec=codec, quality=quality)
