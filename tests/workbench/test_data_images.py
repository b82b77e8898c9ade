"""From image files to pixels: the published crop to the bit, bounded memory, unreadable ones told, random crops."""

import io
import logging
import random
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from _support.image_files import numbers, png, write_folder
from vistok.metrics import to_uint8
from vistok.workbench.data import decode_image, load_images, resize_and_crop
from vistok.workbench.data.resize import decode_for_crops, random_crop
from vistok.workbench.evaluation.figures import image_counts
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.micro_batches import load_micro_batches


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


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


@pytest.mark.parametrize("memory_limit", [0, 1 << 30])
def test_unreadable_images_of_both_splits_are_announced_and_counted(tmp_path, caplog, memory_limit):
    for split in ("train", "val"):
        write_folder(tmp_path / "data" / split, 6)
        (tmp_path / "data" / split / "even" / "002.png").write_bytes(b"no image")
    splits = load_images(
        tmp_path / "data", image_size=8, max_unreadable=1, memory_limit=memory_limit, cache_dir=tmp_path / "cache"
    )
    for images in splits:
        numbers(images)
    names = [f"{split}/even/002.png" for split in ("train", "val")]
    assert [images.skipped[0].split(" ")[0] for images in splits] == names
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [text for text in warnings if "left out: " in text and "unreadable image" in text] == [
        f"data set data {side}, left out: {images.skipped[0]}"
        for side, images in zip(("train", "validation"), splits, strict=True)
    ]
    assert [name.split(" ")[0] for name in image_counts(*splits)["skipped"]] == names


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


def photographs(root):
    """A folder of 24 images larger than the crops, two as small as them."""
    for number in range(24):
        size = (16, 16) if number < 2 else (random.Random(number).randint(20, 60), 45)
        folder = root / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        noise(*size, seed=number).save(folder / f"{number:02}.png")
    return root


def one_process(rank=0, count=1):
    return SimpleNamespace(num_processes=count, process_index=rank, device=torch.device("cpu"))


def test_random_crops_follow_from_seed_and_step_alone_in_memory_and_decoded_on_demand(tmp_path):
    folder = photographs(tmp_path / "data")
    options = {"image_size": 16, "cache_dir": tmp_path / "cache", "random_crop": True}
    loaded, lazy = (load_images(folder, memory_limit=limit, **options).train for limit in (1 << 30, 0))

    def batch(images, *, step=3, seed=0, crop=True, process=None, accumulation=1):
        settings = TrainConfig(steps=1, batch_size=16, accumulation=accumulation)
        data = DataConfig(random_crop=crop)
        parts = load_micro_batches(images, settings, data, step, process or one_process(), seed=seed)
        return torch.cat([part.images for part in parts])

    cropped = batch(loaded)
    assert torch.equal(cropped, batch(loaded))
    assert torch.equal(cropped, batch(lazy))
    assert torch.equal(cropped, batch(loaded, accumulation=4))
    assert torch.equal(cropped, torch.cat([batch(loaded, process=one_process(rank, 2)) for rank in (0, 1)]))
    assert not torch.equal(cropped, batch(loaded, seed=1))
    indices = torch.arange(len(loaded))
    draws = torch.rand(2, len(loaded), 3, generator=torch.Generator().manual_seed(0))
    first, second = (loaded.batch(indices, part) for part in draws)
    plain = loaded.batch(indices)
    small = [i for i, more in enumerate(loaded.uncropped) if tuple(more.shape[1:]) == (16, 16)]
    assert 0 < len(small) <= 2
    for index in range(len(loaded)):
        same = torch.equal(first[index], second[index])
        assert same == (index in small)
        assert torch.equal(first[index], plain[index]) == (index in small)


def test_without_random_crop_nothing_changes_and_validation_is_never_cropped(tmp_path):
    folder = photographs(tmp_path / "data")
    options = {"image_size": 16, "cache_dir": tmp_path / "cache"}
    plain, cropped = (load_images(folder, random_crop=crop, **options) for crop in (False, True))
    assert torch.equal(plain.train.images, cropped.train.images)
    assert plain.train.uncropped is None
    assert cropped.validation.uncropped is None
    indices = list(range(len(plain.train)))
    draws = torch.rand(len(indices), 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain.train.batch(indices, draws), plain.train.batch(indices))
    settings, data = TrainConfig(steps=1, batch_size=8), DataConfig(horizontal_flip=True)
    (first,) = load_micro_batches(plain.train, settings, data, 2, one_process(), seed=0)
    (second,) = load_micro_batches(cropped.train, settings, data, 2, one_process(), seed=0)
    assert torch.equal(first.images, second.images)


def test_images_no_larger_than_the_crop_are_shown_whole_and_the_log_says_so(tmp_path, caplog):
    write_folder(tmp_path / "data")
    options = {"image_size": 8, "cache_dir": tmp_path / "cache", "random_crop": True}
    train = load_images(tmp_path / "data", **options).train
    assert "no image is larger than 8 pixels, so random crops show all of it" in caplog.text
    indices = list(range(len(train)))
    assert torch.equal(train.batch(indices, torch.full((len(indices), 3), 0.9)), train.batch(indices))


def test_digits_are_cropped_where_they_are_larger_than_the_crop():
    train = load_images(image_size=16, random_crop=True).train
    assert train.uncropped[0].shape == (1, 20, 20)
    crops = train.batch([0, 0], torch.tensor([[0.9, 0.0, 0.0], [0.9, 0.99, 0.99]]))
    assert torch.equal(to_uint8(crops)[0], train.uncropped[0][:, :16, :16])
    assert torch.equal(to_uint8(crops)[1], train.uncropped[0][:, 4:, 4:])
    assert load_images(random_crop=True).train.uncropped is None
