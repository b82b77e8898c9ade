"""The two crops: as published to the bit, in bounded memory, and what an evaluation writes down of them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from _support.mutants import catches
from vistok.metrics import adm_crop, centre_crop
from vistok.metrics.images.crops import Crop

SUBJECT = "vistok.metrics.images.crops"
SHAPES = (st.integers(5, 90), st.integers(1, 8), st.integers(0, 50), st.booleans(), st.integers(4, 40))


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def ordinary(shorter, aspect, more, tall):
    """An image whose sides are at most 8:1."""
    longer = min(shorter * aspect + more, 8 * shorter)
    return noise(shorter, longer) if tall else noise(longer, shorter)


def published_center_crop(image, image_size):
    """center_crop_arr of Dhariwal and Nichol's guided-diffusion, as published."""
    while min(*image.size) >= 2 * image_size:
        image = image.resize(tuple(x // 2 for x in image.size), resample=Image.Resampling.BOX)
    scale = image_size / min(*image.size)
    image = image.resize(tuple(round(x * scale) for x in image.size), resample=Image.Resampling.BICUBIC)
    arr = np.array(image)
    crop_y, crop_x = (arr.shape[0] - image_size) // 2, (arr.shape[1] - image_size) // 2
    return arr[crop_y : crop_y + image_size, crop_x : crop_x + image_size]


@catches(SUBJECT, ">= 2 * side", "> 2 * side")
@catches(SUBJECT, "round(size[1] * scale)", "int(size[1] * scale)")
@catches(SUBJECT, "(image.width - width) // 2", "round((image.width - width) / 2)")
@given(*SHAPES)
def test_the_crop_of_adm_is_the_published_one_to_the_bit(shorter, aspect, more, tall, size):
    image = ordinary(shorter, aspect, more, tall)
    assert np.array_equal(np.asarray(adm_crop(image, size)), published_center_crop(image, size))


@catches(SUBJECT, "int(image_size * longer / shorter)", "round(image_size * longer / shorter)")
@catches(SUBJECT, "round((length - image_size) / 2.0)", "(length - image_size) // 2")
@given(*SHAPES)
def test_the_centre_crop_is_torchvisions_to_the_bit(torchvision_imports, shorter, aspect, more, tall, size):
    transforms = pytest.importorskip("torchvision.transforms")
    published = transforms.Compose(
        [transforms.Resize(size, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(size)]
    )
    image = ordinary(shorter, aspect, more, tall)
    assert np.array_equal(np.asarray(centre_crop(image, size)), np.asarray(published(image)))


def test_the_centre_crop_of_an_image_by_hand():
    """90 x 60 to 32: Pillow's bicubic to 48 x 32, of which columns 8 to 39 are the middle."""
    image = noise(90, 60)
    resized = np.asarray(image.resize((48, 32), Image.Resampling.BICUBIC))
    assert np.array_equal(np.asarray(centre_crop(image, 32)), resized[:, 8:40])


@catches(SUBJECT, "while min(image.size) >= 2 * side:", "while False:")
def test_halving_comes_before_the_bicubic_filter():
    """A fine checkerboard, four times as large: two halvings give its exact mean everywhere."""
    board = np.indices((16, 16)).sum(0) % 2 * 255
    board[:, 8:] = 0
    halves = np.asarray(adm_crop(Image.fromarray(board.astype(np.uint8)), 4))
    assert set(halves[:, :2].flatten().tolist()) <= {127, 128}
    assert set(halves[:, 2:].flatten().tolist()) == {0}


@pytest.mark.parametrize("crop", [adm_crop, centre_crop])
def test_the_middle_of_a_wide_and_of_an_extreme_image_is_what_remains(crop):
    for width in (12, 4000):
        image = Image.new("RGB", (width, 4))
        image.paste((255, 255, 255), (width // 2 - 2, 0, width // 2 + 2, 4))
        assert np.asarray(crop(image, 4)).min() == 255


@catches(SUBJECT, "if max(image.size) <= longest:", "if True:")
@pytest.mark.parametrize("size", [(2, 65535), (65535, 2)])
def test_an_image_of_extreme_sides_is_not_enlarged_before_it_is_cropped(size, monkeypatch):
    asked = []
    monkeypatch.setattr(Image.Image, "resize", lambda self, wanted, *_: asked.append(wanted) or Image.new("L", wanted))
    monkeypatch.setattr(Image.Image, "crop", lambda self, box: Image.new("L", (box[2] - box[0], box[3] - box[1])))
    for crop in (adm_crop, centre_crop):
        assert crop(Image.new("L", size), 64).size == (64, 64)
    assert max(width * height for width, height in asked) <= 8 * 64**2


@pytest.mark.parametrize("crop", [adm_crop, centre_crop])
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20))
def test_every_size_comes_out_square(crop, width, height, size):
    assert crop(Image.new("RGB", (width, height)), size).size == (size, size)


@catches(SUBJECT, "torch.stack([image_to_tensor(", "torch.stack([255 - image_to_tensor(")
@pytest.mark.parametrize(("kind", "crop"), [("adm", adm_crop), ("centre", centre_crop)])
def test_pixels_go_through_the_crop_of_the_images_that_they_are(kind, crop):
    images = [noise(30, 20, seed) for seed in range(3)]
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
    expected = np.stack([np.asarray(crop(image, 8)) for image in images])
    assert np.array_equal(Crop(kind, 8).pixels(pixels).permute(0, 2, 3, 1), expected)
    assert torch.equal(Crop(kind, 8).pixels(pixels[:, :1])[:, 0], Crop(kind, 8).pixels(pixels)[:, 0])
    assert Crop(kind, 8).pixels(pixels[..., :8, :8]).data_ptr() == pixels.data_ptr()
    assert Crop("none", None).pixels(pixels) is pixels


def test_a_crop_says_what_it_is():
    assert Crop("adm", 32).describe(5, (3, 32, 32)) == {
        "count": "5",
        "size": "32 x 32",
        "channels": "3",
        "crop": "ADM centre crop",
        "filter": "box by halves while twice the size, then bicubic (Pillow)",
    }
    assert Crop("none", None).describe(1, (1, 20, 30)) == {
        "count": "1",
        "size": "30 x 20",
        "channels": "1",
        "crop": "none",
        "filter": "none",
    }


@catches(SUBJECT, "image_size < 1", "image_size < 0")
@catches(SUBJECT, 'if (image_size is None) != (kind == "none"):', 'if image_size is None and kind != "none":')
def test_a_crop_that_cannot_be_meant_is_one_line():
    for kind, size, words in (
        ("center", 8, "crop must be 'adm', 'centre' or 'none', got 'center'"),
        ("adm", None, "crop 'adm' needs an image_size"),
        ("none", 8, "crop 'none' takes no image_size, got 8"),
        ("centre", 0, "image_size must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=f"^{words}$"):
            Crop(kind, size)
