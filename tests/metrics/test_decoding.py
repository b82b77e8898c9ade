"""An image file's pixels: upright RGB, bounded, or one line that says why not."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from _support.image_files import noise, png
from _support.mutants import catches
from vistok.metrics.images.decoding import image_shape, image_to_tensor, open_image, tensor_to_image

SUBJECT = "vistok.metrics.images.decoding"


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def pixels(content):
    return image_to_tensor(open_image(content))


@catches(SUBJECT, "grey = values >> tags.get(_BITS, (16,))[0] - 8", "grey = values")
@catches(SUBJECT, "(255, 255, 255, 255)", "(0, 0, 0, 255)")
def test_transparency_lies_on_white_and_every_mode_becomes_rgb():
    assert pixels(png((255, 0, 0, 0), mode="RGBA")).float().mean() == 255
    half = pixels(png((0, 0, 0, 127), mode="RGBA"))
    assert abs(int(half[0, 0, 0]) - 128) <= 1
    assert pixels(png((0, 0), mode="LA")).float().mean() == 255
    assert pixels(png(7, mode="L")).unique().tolist() == [7]
    assert pixels(png(1, mode="1")).unique().tolist() == [255]
    assert pixels(encoded(Image.fromarray(np.full((8, 8), 0x8000, dtype=np.uint16)))).unique().tolist() == [128]


@catches(SUBJECT, ' or (image.mode == "I" and image.format in _UP_TO_65535)', "")
@catches(SUBJECT, 'frozenset(("PNG", "PPM"))', 'frozenset(("PNG", "PPM", "TIFF"))')
@catches(SUBJECT, 'elif image.mode in ("I", "F")', 'elif image.mode == "I"')
def test_grey_of_16_bits_is_scaled_and_what_says_no_range_is_unreadable():
    grey = np.array([[0, 0x1FF], [0x8000, 65535]], dtype=np.uint16)
    pgm = b"P5 2 2 65535\n" + grey.astype(">u2").tobytes()
    dark = b"P5 2 2 1000\n" + np.array([0, 4, 501, 1000], ">u2").tobytes()  # Pillow scales to 65,535
    assert Image.open(io.BytesIO(pgm)).mode == "I"
    for content in (pgm, dark, encoded(Image.fromarray(grey)), encoded(Image.fromarray(grey), "TIFF")):
        assert pixels(content)[0].tolist() == [[0, 1], [128, 255]]
    for mode, dtype in (("I", np.int32), ("F", np.float32)):
        content = encoded(Image.fromarray(grey.astype(dtype)), "TIFF")
        reason = f"expected 8 or 16 bits a channel, got TIFF in mode {mode}, of signed values or 32 bits"
        with pytest.raises(ValueError, match=rf"\Aunreadable image: {reason}\Z"):
            open_image(content)


@catches(SUBJECT, "np.where(values == transparent, 255, grey)", "grey")
@catches(SUBJECT, "values == transparent", "values >> 8 == (transparent or 0) >> 8")
def test_the_transparent_value_of_grey_of_16_bits_is_white():
    grey = np.array([[0x1234, 0x12FF], [0x8000, 0]], dtype=np.uint16)
    image, file = Image.fromarray(grey), io.BytesIO()
    image.save(file, "PNG", transparency=0x1234)
    assert Image.open(io.BytesIO(file.getvalue())).info["transparency"] == 0x1234
    assert pixels(file.getvalue())[0].tolist() == [[255, 0x12], [128, 0]]


@catches(SUBJECT, "            ImageOps.exif_transpose(opened, in_place=True)\n", "")
def test_a_photo_is_turned_upright():
    image = Image.new("RGB", (8, 4))
    image.paste((255, 255, 255), (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left edge comes on top
    content = encoded(image, exif=exif)
    upright = pixels(content)
    assert upright.shape == (3, 8, 4)
    assert upright[:, 0].float().mean() > upright[:, 7].float().mean()
    assert image_shape(content) == (8, 4)  # of the header


def test_tensors_and_images_are_each_others_inverse(tmp_path):
    pixels = torch.arange(2 * 3 * 4, dtype=torch.uint8).view(2, 3, 4)[:1]
    assert torch.equal(image_to_tensor(tensor_to_image(pixels)), pixels)
    colour = torch.arange(3 * 2 * 5, dtype=torch.uint8).view(3, 2, 5)
    assert torch.equal(image_to_tensor(tensor_to_image(colour)), colour)
    tensor_to_image(colour).save(tmp_path / "colour.png")
    assert torch.equal(image_to_tensor(open_image(tmp_path / "colour.png")), colour)


@catches(SUBJECT, "opened.width * opened.height > max_pixels", "opened.width > max_pixels")
def test_what_is_no_image_or_too_large_is_one_line():
    for content, words in (
        (b"no image", "the file is no image of a known format"),
        (png(0)[:40], "[^\n]+"),
        (encoded(Image.new("RGB", (8, 8)), "EPS"), "EPS is no format of pixels"),
        (png(0, size=(100, 101)), "100 x 101 pixels are more than max_pixels=10000"),
    ):
        with pytest.raises(ValueError, match=rf"\Aunreadable image: {words}\Z"):
            open_image(content, max_pixels=10_000)
    with pytest.raises(ValueError, match=r"\Aunreadable image: "):
        image_shape(b"no image")


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded():
    content = encoded(Image.new("L", (6000, 6000)))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"\Aunreadable image: 6000 x 6000 pixels are more than max_pixels=1000000\Z"):
        open_image(content, max_pixels=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    assert open_image(content, max_pixels=36_000_000).size == (6000, 6000)


@pytest.mark.parametrize("error", [RuntimeError("Failed to decode frame 0"), MemoryError(), IndexError("x\ny")])
def test_whatever_a_decoder_raises_the_image_is_unreadable(error, monkeypatch):
    def load(self):
        raise error

    content = png(0)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(ValueError, match=r"\Aunreadable image: [^\n]+\Z"):
        open_image(content)


def test_a_corrupt_avif_is_an_unreadable_image():
    content = bytearray(encoded(noise(64, 64), "AVIF"))
    content[content.index(b"mdat") + 4] ^= 0xFF
    with pytest.raises(ValueError, match=r"\Aunreadable image: Failed to decode[^\n]+\Z"):
        open_image(bytes(content))


@catches(SUBJECT, "isinstance(error, UnidentifiedImageError)", "isinstance(error, UnicodeError)")
def test_a_header_gives_width_and_height_and_what_has_none_is_unreadable(tmp_path):
    (tmp_path / "a.png").write_bytes(png(0, size=(9, 5)))
    assert image_shape(tmp_path / "a.png") == image_shape(png(0, size=(9, 5))) == (9, 5)
    with pytest.raises(ValueError, match=r"\Aunreadable image: the file is no image of a known format\Z"):
        image_shape(b"no image")


def tiff(values, *, bits, photometric):
    """A grey TIFF of one strip, with no more than the tags that say how it is read."""
    height, width = values.shape
    if bits == 12:
        pairs = values.reshape(-1, 2).astype(int)
        first, second = pairs[:, 0], pairs[:, 1]
        content = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype("u1").tobytes()
    else:
        content = values.astype(f"<u{bits // 8}").tobytes()
    tags = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: photometric,
        273: 0,
        277: 1,
        278: height,
        279: len(content),
    }
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + content


@catches(SUBJECT, "tags.get(_BITS, (16,))[0] - 8", "8")
@catches(SUBJECT, "255 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey", "grey")
def test_a_grey_tiff_says_how_many_bits_its_values_have_and_which_of_them_is_white():
    ramp = np.linspace(0, 255, 40).astype(int)[None].repeat(4, axis=0)
    for bits, photometric in ((8, 1), (8, 0), (12, 1), (16, 1), (16, 0)):
        pixels = np.asarray(open_image(tiff(ramp << bits - 8, bits=bits, photometric=photometric)))
        assert (pixels == (ramp if photometric else 255 - ramp)[..., None]).all()
