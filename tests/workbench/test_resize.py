"""From image files to pixels: the published crops to the bit, bounded memory, and what cannot be read is told."""

import io
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from _support.image_files import noise, png
from _support.mutants import catches
from vistok.workbench.data.resize import decode_for_crops, decode_image, image_shape, random_crop, resize_and_crop

SUBJECT = "vistok.workbench.data.resize"


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@catches(SUBJECT, "(255, 255, 255, 255)", "(0, 0, 0, 255)")
def test_transparency_lies_on_white_and_every_mode_becomes_rgb():
    assert decode_image(png((255, 0, 0, 0), mode="RGBA"), 4).float().mean() == 255
    half = decode_image(png((0, 0, 0, 127), mode="RGBA"), 4)
    assert abs(int(half[0, 0, 0]) - 128) <= 1
    assert decode_image(png((0, 0), mode="LA"), 4).float().mean() == 255
    assert decode_image(png(7, mode="L"), 4).unique().tolist() == [7]
    assert decode_image(png(1, mode="1"), 4).unique().tolist() == [255]
    sixteen = Image.fromarray(np.full((8, 8), 0x8000, dtype=np.uint16))
    buffer = io.BytesIO()
    sixteen.save(buffer, format="PNG")
    assert decode_image(buffer.getvalue(), 4).unique().tolist() == [128]


@catches(SUBJECT, "_to_rgb(ImageOps.exif_transpose(opened))", "_to_rgb(opened)")
def test_a_photo_is_turned_upright():
    image = Image.new("RGB", (8, 4))
    image.paste((255, 255, 255), (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left edge comes on top
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", exif=exif)
    upright = decode_image(buffer.getvalue(), 4)
    assert upright.shape == (3, 4, 4)
    assert upright[:, 0].float().mean() > upright[:, 3].float().mean()


def test_a_wide_image_is_cropped_in_its_middle():
    image = Image.new("RGB", (12, 4))
    image.paste((255, 255, 255), (4, 0, 8, 4))
    assert np.asarray(resize_and_crop(image, 4)).min() == 255


def test_halving_comes_before_the_bicubic_filter():
    """A fine checkerboard, four times as large: two halvings give its exact mean everywhere."""
    board = np.indices((16, 16)).sum(0) % 2 * 255
    small = resize_and_crop(Image.fromarray(board.astype(np.uint8)), 4)
    assert set(np.asarray(small).flatten().tolist()) <= {127, 128}


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20))
def test_every_size_comes_out_square(width, height, size):
    assert resize_and_crop(Image.new("RGB", (width, height)), size).size == (size, size)


# the centre crop


def published_center_crop(image, image_size):
    """center_crop_arr of Dhariwal and Nichol's guided-diffusion, as published."""
    while min(*image.size) >= 2 * image_size:
        image = image.resize(tuple(x // 2 for x in image.size), resample=Image.Resampling.BOX)
    scale = image_size / min(*image.size)
    image = image.resize(tuple(round(x * scale) for x in image.size), resample=Image.Resampling.BICUBIC)
    arr = np.array(image)
    crop_y, crop_x = (arr.shape[0] - image_size) // 2, (arr.shape[1] - image_size) // 2
    return arr[crop_y : crop_y + image_size, crop_x : crop_x + image_size]


@catches(SUBJECT, "Image.Resampling.BOX", "Image.Resampling.BICUBIC")
@given(st.integers(5, 90), st.integers(1, 8), st.integers(0, 50), st.booleans(), st.integers(4, 40))
def test_ordinary_images_are_cropped_as_published_to_the_bit(shorter, aspect, more, tall, size):
    longer = min(shorter * aspect + more, 8 * shorter)
    image = noise(shorter, longer) if tall else noise(longer, shorter)
    assert np.array_equal(np.asarray(resize_and_crop(image, size)), published_center_crop(image, size))


@pytest.mark.parametrize("size", [(2, 65535), (65535, 2), (1, 30000)])
def test_a_small_file_of_extreme_sides_is_not_enlarged_before_it_is_cropped(size, monkeypatch):
    largest = 0
    resize = Image.Image.resize

    def watched(self, wanted, *arguments, **options):
        nonlocal largest
        largest = max(largest, wanted[0] * wanted[1])
        return resize(self, wanted, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", watched)
    content = encoded(Image.new("RGB", size, (9, 8, 7)))
    pixels = decode_image(content, 256)
    assert pixels.flatten(1).unique(dim=1).flatten().tolist() == [9, 8, 7]
    assert largest <= 8 * 256**2


def test_the_middle_of_an_extreme_image_is_what_remains():
    image = Image.new("RGB", (4000, 4))
    image.paste((255, 255, 255), (1998, 0, 2002, 4))
    assert np.asarray(resize_and_crop(image, 4)).min() == 255


# unreadable images


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded():
    content = encoded(Image.new("L", (6000, 6000)))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"\Aunreadable image: 6000 x 6000 pixels are more than max_pixels=1000000\Z"):
        decode_image(content, 8, max_pixels=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    assert decode_image(content, 8, max_pixels=36_000_000).sum() == 0


@pytest.mark.parametrize("error", [RuntimeError("Failed to decode frame 0"), MemoryError(), IndexError("x\ny")])
def test_whatever_a_decoder_raises_the_image_is_unreadable(error, monkeypatch):
    def load(self):
        raise error

    content = png(0)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(ValueError, match=r"\Aunreadable image: [^\n]+\Z"):
        decode_image(content, 8)


def test_a_corrupt_avif_is_an_unreadable_image():
    content = bytearray(encoded(noise(64, 64), "AVIF"))
    content[content.index(b"mdat") + 4] ^= 0xFF
    with pytest.raises(ValueError, match=r"\Aunreadable image: Failed to decode[^\n]+\Z"):
        decode_image(bytes(content), 8)


def test_a_format_that_starts_another_program_is_refused():
    with pytest.raises(ValueError, match=r"\Aunreadable image: EPS is no format of pixels\Z"):
        decode_image(encoded(Image.new("RGB", (8, 8)), "EPS"), 8)


@catches(SUBJECT, "isinstance(error, UnidentifiedImageError)", "isinstance(error, UnicodeError)")
def test_a_header_gives_width_and_height_and_what_has_none_is_unreadable(tmp_path):
    (tmp_path / "a.png").write_bytes(png(0, size=(9, 5)))
    assert image_shape(tmp_path / "a.png") == image_shape(png(0, size=(9, 5))) == (9, 5)
    with pytest.raises(ValueError, match=r"\Aunreadable image: the file is no image of a known format\Z"):
        image_shape(b"no image")


# random crops


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
