"""From image files to pixels: the published crops to the bit, and room for random ones."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from _support.image_files import noise
from _support.mutants import catches
from vistok.metrics import adm_crop
from vistok.workbench.data.resize import decode_for_crops, decode_image, random_crop

SUBJECT = "vistok.workbench.data.resize"


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@catches(
    SUBJECT,
    "return image_to_tensor((_centre_alone if fast else adm_crop)(image, image_size))",
    "return image_to_tensor(cut_centre(image, image_size, image_size))",
)
def test_a_decoded_image_is_the_published_centre_crop_unless_it_has_too_many_pixels():
    content = encoded(noise(50, 30))
    expected = torch.from_numpy(np.array(adm_crop(noise(50, 30), 12))).permute(2, 0, 1)
    assert torch.equal(decode_image(content, 12), expected)
    with pytest.raises(ValueError, match="unreadable image: 50 x 30 pixels are more than max_pixels=1499"):
        decode_image(content, 12, max_pixels=1499)


@catches(SUBJECT, "image_size if fast else None", "None")
@catches(SUBJECT, "room_for_crops(image_size) if fast else None", "image_size if fast else None")
def test_fast_decoding_is_of_the_smallest_jpeg_that_is_large_enough_and_close_to_the_crop_in_full():
    smooth = noise(20, 15).resize((512, 384), Image.Resampling.BICUBIC)
    content = encoded(smooth, "JPEG", quality=95)
    half = Image.open(io.BytesIO(content))
    half.draft("RGB", (100, 100))
    assert half.size == (256, 192)
    expected = torch.from_numpy(np.array(adm_crop(half, 100))).permute(2, 0, 1)
    assert (decode_image(content, 100, fast=True).int() - expected.int()).abs().max() <= 1
    exact = decode_image(content, 100)
    assert not torch.equal(expected, exact)
    assert (expected.float() - exact.float()).abs().mean() < 1.5
    for side in (192, 200, 384):  # a half is too small, or as large as asked: then the centre alone is resized
        difference = decode_image(content, side, fast=True).int() - decode_image(content, side).int()
        assert difference.abs().max() <= (1 if side > 192 else 40)
        assert side == 192 or (difference != 0).float().mean() < 0.01
    assert decode_for_crops(content, 90, fast=True).shape == decode_for_crops(content, 90).shape == (3, 113, 151)
    assert not torch.equal(decode_for_crops(content, 90, fast=True), decode_for_crops(content, 90))
    # Crops of 160 pixels are cut from 200: more than a half has.
    assert torch.equal(decode_for_crops(content, 160, fast=True), decode_for_crops(content, 160))
    other = encoded(smooth)
    assert torch.equal(decode_image(other, 100, fast=True), decode_image(other, 100))  # no JPEG: halved as ever


def published_random_crop(image, image_size, side, row, column):
    """random_crop_arr of guided-diffusion, its random numbers given (its side is at most the image's here)."""
    scale = side / min(*image.size)
    arr = np.array(image.resize(tuple(round(x * scale) for x in image.size), resample=Image.Resampling.BICUBIC))
    crop_y, crop_x = (
        int(part * (length - image_size + 1)) for part, length in zip((row, column), arr.shape[:2], strict=True)
    )
    return arr[crop_y : crop_y + image_size, crop_x : crop_x + image_size]


@given(st.integers(20, 25), st.integers(25, 50), st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3))
def test_a_random_crop_is_the_published_one(shorter, longer, draw):
    image = noise(longer, shorter)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    cropped = random_crop(pixels, 20, draw).permute(1, 2, 0).numpy().astype(int)
    assert cropped.shape == (20, 20, 3)
    expected = published_random_crop(image, 20, 20 + int(draw[0] * (shorter - 20 + 1)), *draw[1:]).astype(int)
    assert np.abs(cropped - expected).max() <= 1  # places are single precision in Pillow
    if 20 + int(draw[0] * (shorter - 20 + 1)) == shorter:
        assert np.array_equal(cropped, expected)


@catches(SUBJECT, "part * (length - image_size + 1)", "part * (length - image_size)")
def test_crops_reach_every_edge_and_every_length():
    ramp = torch.arange(40, dtype=torch.uint8).expand(3, 25, 40).contiguous()
    draws = [(length / 6, 0.5, column) for length in range(6) for column in (0.0, 0.999)]
    crops = [random_crop(ramp, 20, draw)[0, 0].tolist() for draw in draws]
    assert {crop[0] for crop in crops[::2]} <= {0}
    assert {crop[-1] for crop in crops[1::2]} == {39}
    widths = [right[-1] - right[0] for right in crops[1::2]]
    assert widths == sorted(widths, reverse=True)
    assert (widths[0], widths[-1]) == (24, 19)


def test_what_crops_are_cut_from_is_no_larger_than_it_must_be_and_never_enlarged():
    shapes = {
        size: tuple(decode_for_crops(encoded(noise(*size)), 20).shape)
        for size in [(200, 100), (100, 300), (22, 40), (10, 10), (20, 20), (2, 3000)]
    }
    assert shapes == {
        (200, 100): (3, 25, 50),
        (100, 300): (3, 50, 25),
        (22, 40): (3, 40, 22),
        (10, 10): (3, 20, 20),
        (20, 20): (3, 20, 20),
        (2, 3000): (3, 40, 20),
    }
