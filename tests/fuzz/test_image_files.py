"""Damaged image files: pixels or one line, in a moment, in bounded memory."""

import io
import resource

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from _support.damage import damaged, with_png_checksums
from _support.fuzzing import cases, succeeds_or_is_told
from vistok.metrics.images.decoding import image_shape
from vistok.workbench.data import decode_image
from vistok.workbench.data.resize import decode_for_crops

MAX_PIXELS = 1_000_000
COLOUR = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data


FILES = {
    "PNG": [
        encoded(COLOUR, "PNG", exif=exif(6)),
        encoded(COLOUR.convert("RGBA"), "PNG"),
        encoded(COLOUR.convert("P"), "PNG", transparency=3),
        encoded(COLOUR.convert("1"), "PNG"),
        encoded(Image.fromarray(np.asarray(COLOUR.convert("L")).astype(np.uint16) * 256), "PNG"),
    ],
    "JPEG": [
        encoded(COLOUR, "JPEG", exif=exif(8)),
        encoded(COLOUR, "JPEG", progressive=True),
        encoded(COLOUR.convert("L"), "JPEG"),
        encoded(COLOUR.convert("CMYK"), "JPEG"),
    ],
    "GIF": [
        encoded(COLOUR, "GIF"),
        encoded(COLOUR, "GIF", save_all=True, append_images=[COLOUR.rotate(90)], transparency=2),
    ],
    "WebP": [
        encoded(COLOUR, "WEBP"),
        encoded(COLOUR.convert("RGBA"), "WEBP", lossless=True, exif=exif(3)),
        encoded(COLOUR, "WEBP", save_all=True, append_images=[COLOUR.rotate(90)]),
    ],
    "AVIF": [encoded(COLOUR, "AVIF"), encoded(COLOUR.convert("RGBA"), "AVIF", exif=exif(5))],
    "others": [
        encoded(COLOUR, "BMP"),
        encoded(COLOUR, "TIFF"),
        encoded(COLOUR, "TIFF", compression="tiff_lzw"),
        encoded(COLOUR, "ICO", sizes=[(16, 16), (24, 24)]),
        encoded(COLOUR, "PPM"),
        encoded(COLOUR, "TGA", compression="tga_rle"),
        encoded(COLOUR, "JPEG2000"),
        encoded(COLOUR, "PCX"),
    ],
}


@pytest.mark.parametrize("kind", FILES)
def test_every_undamaged_file_is_read(kind):
    for content in FILES[kind]:
        assert decode_image(content, 8).shape == (3, 8, 8)


def check_decoding(content):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with succeeds_or_is_told(ValueError, mentions="unreadable image: "):
        width, height = image_shape(content)
        assert width * height > 0
    with succeeds_or_is_told(ValueError, mentions="unreadable image: "):
        pixels = decode_image(content, 8, max_pixels=MAX_PIXELS)
        assert (tuple(pixels.shape), pixels.dtype) == ((3, 8, 8), torch.uint8)
    with succeeds_or_is_told(ValueError, mentions="unreadable image: "):
        pixels = decode_for_crops(content, 8, max_pixels=MAX_PIXELS)
        assert 8 <= min(pixels.shape[1:]) <= 10
        assert max(pixels.shape[1:]) <= 20
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, f"{grown} kB"


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_image_is_pixels_or_one_line(kind):
    @cases(200)
    @given(st.sampled_from(FILES[kind]).flatmap(damaged), st.booleans())
    def check(content, checksums):
        check_decoding(with_png_checksums(content) if checksums else content)

    check()


@cases(100)
@given(st.binary(max_size=300))
def test_bytes_that_are_no_image_are_one_line(content):
    check_decoding(content)
