"""Data sets: digits, folders, Parquet; splits, unreadable images, pixels, and the order of batches."""

import io
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from _support.image_files import numbers, png, write_folder, write_parquet
from vistok.workbench.data import (
    ImageSet,
    LazyImageSet,
    batch_indices,
    decode_image,
    load_images,
    resize_and_crop,
)


def load(source, tmp_path, **options):
    return load_images(source, cache_dir=tmp_path / "cache", image_size=8, **options)


# the order of batches


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 2**40))
def test_every_item_comes_exactly_once_an_epoch(num_items, batch_size, seed):
    steps = -(-3 * num_items // batch_size)
    stream = torch.cat([batch_indices(num_items, batch_size, step, seed) for step in range(steps)])
    for epoch in stream[: 3 * num_items].view(3, num_items):
        assert sorted(epoch.tolist()) == list(range(num_items))


@given(st.integers(1, 30), st.integers(1, 10), st.integers(0, 10**9))
def test_any_step_can_be_asked_for_in_any_order(num_items, batch_size, step):
    later = batch_indices(num_items, batch_size, step + 3, 5)
    first = batch_indices(num_items, batch_size, step, 5)
    assert torch.equal(batch_indices(num_items, batch_size, step + 3, 5), later)
    assert first.shape == (batch_size,)
    assert first.dtype == torch.int64
    whole = batch_indices(num_items, 2 * batch_size, step, 5)
    halves = [batch_indices(num_items, batch_size, 2 * step + part, 5) for part in (0, 1)]
    assert torch.equal(whole, torch.cat(halves))


def test_another_seed_and_another_epoch_give_another_order():
    orders = {tuple(batch_indices(50, 50, step, seed).tolist()) for step in range(3) for seed in range(3)}
    assert len(orders) == 9


def test_the_order_is_pinned():
    """Resumed runs of later versions must see the same batches."""
    assert batch_indices(10, 10, 0, 0).tolist() == [3, 8, 4, 7, 1, 6, 5, 0, 2, 9]


@pytest.mark.parametrize(
    ("arguments", "name"), [((0, 1, 0), "num_items"), ((1, 0, 0), "batch_size"), ((1, 1, -1), "step")]
)
def test_a_bad_batch_is_named(arguments, name):
    with pytest.raises(ValueError, match=f"{name} must be at least"):
        batch_indices(*arguments, seed=0)


# pixels


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


# digits


def test_digits_are_split_by_class_once_and_for_all():
    digits = load_images()
    assert digits.train.images.shape == (4500, 1, 32, 32)
    assert digits.validation.labels.bincount().tolist() == [50] * 10
    assert torch.equal(load_images("digits").validation.images, digits.validation.images)
    everything = torch.cat([digits.train.images, digits.validation.images]).flatten(1)
    assert everything.unique(dim=0).shape[0] >= 4990  # nearly all distinct: no digit is on both sides
    other = load_images(split_seed=1).validation.images
    assert not torch.equal(other, digits.validation.images)
    border = torch.ones(32, 32, dtype=torch.bool)
    border[2:-2, 2:-2] = False
    assert digits.train.images[..., border].max() == 0
    assert digits.train.class_names == tuple("0123456789")


def test_digits_come_in_any_size():
    assert load_images(image_size=16).validation.batch([0]).shape == (1, 1, 16, 16)


# folders and Parquet


def test_a_folder_of_classes_is_split_by_path(tmp_path):
    splits = load(write_folder(tmp_path / "data"), tmp_path, validation_fraction=0.3)
    train, validation = numbers(splits.train), numbers(splits.validation)
    assert sorted(train + validation) == list(range(30))
    assert validation
    assert splits.train.class_names == ("even", "odd")
    assert splits.train.labels.tolist() == [number % 2 for number in train]
    (tmp_path / "data" / "even" / "100.png").write_bytes(png((100, 0, 0)))
    more = load(tmp_path / "data", tmp_path, validation_fraction=0.3)
    assert set(validation) <= set(numbers(more.validation))
    assert set(train) <= set(numbers(more.train))
    other = load(tmp_path / "data", tmp_path, validation_fraction=0.3, split_seed=1)
    assert set(numbers(other.validation)) != set(numbers(more.validation))


def test_a_validation_folder_is_kept(tmp_path):
    write_folder(tmp_path / "data" / "train", 6)
    write_folder(tmp_path / "data" / "val", 2)
    splits = load(tmp_path / "data", tmp_path)
    assert sorted(numbers(splits.train)) == list(range(6))
    assert sorted(numbers(splits.validation)) == [0, 1]


def test_parquet_files_named_by_split(tmp_path):
    write_parquet(tmp_path / "data" / "train-0.parquet", [(png((n, 0, 0)), f"c{n % 3}") for n in range(6)])
    write_parquet(tmp_path / "data" / "validation-0.parquet", [(png((9, 0, 0)), "c2")])
    splits = load(tmp_path / "data", tmp_path)
    assert numbers(splits.train) == list(range(6))
    assert splits.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert splits.validation.labels.tolist() == [2]
    assert splits.validation.class_names == ("c0", "c1", "c2")


def test_equal_images_of_a_table_stay_on_one_side(tmp_path):
    rows = [(png((n // 2, 0, 0)), 0) for n in range(40)]
    splits = load(write_parquet(tmp_path / "one.parquet", rows), tmp_path, validation_fraction=0.5)
    assert not set(numbers(splits.train)) & set(numbers(splits.validation))
    assert len(splits.train) + len(splits.validation) == 40


def test_images_without_labels_are_of_one_class(tmp_path):
    rows = [(png((n, 0, 0)), 0) for n in range(20)]
    splits = load(write_parquet(tmp_path / "one.parquet", rows, label=False), tmp_path)
    assert splits.train.class_names == ("all",)
    assert splits.train.labels.sum() == 0


def test_lazy_and_loaded_sets_give_equal_batches(tmp_path):
    folder = write_folder(tmp_path / "data")
    loaded, lazy = load(folder, tmp_path), load(folder, tmp_path, memory_limit=0)
    assert isinstance(loaded.train, ImageSet)
    assert isinstance(lazy.train, LazyImageSet)
    indices = batch_indices(len(loaded.train), 7, 3, seed=0)
    assert torch.equal(loaded.train.batch(indices), lazy.train.batch(indices))
    assert torch.equal(loaded.train.labels, lazy.train.labels)
    assert (lazy.train.channels, lazy.train.image_size, len(lazy.train)) == (3, 8, len(loaded.train))


# unreadable images


def broken_folder(tmp_path):
    folder = write_folder(tmp_path / "data")
    (folder / "even" / "002.png").write_bytes(b"no image")
    (folder / "odd" / "003.png").write_bytes(png((3, 0, 0))[:40])
    return folder


def test_unreadable_images_are_named_and_left_out(tmp_path):
    splits = load(broken_folder(tmp_path), tmp_path, max_unreadable=2)
    skipped = splits.train.skipped + splits.validation.skipped
    assert sorted(name.split(" ")[0] for name in skipped) == ["even/002.png", "odd/003.png"]
    assert all("unreadable image" in name for name in skipped)
    found = numbers(splits.train) + numbers(splits.validation)
    assert sorted(found) == [n for n in range(30) if n not in (2, 3)]
    assert splits.train.labels.tolist() == [n % 2 for n in numbers(splits.train)]


def test_too_many_unreadable_images_are_an_error_of_one_line(tmp_path):
    folder = broken_folder(tmp_path)
    for file in folder.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"\A[^\n]*max_unreadable=1[^\n]*\.png[^\n]*\Z"):
        load(folder, tmp_path, max_unreadable=1)
    with pytest.raises(ValueError, match="no readable image"):
        load(folder, tmp_path, max_unreadable=100)


def test_a_lazy_set_replaces_an_unreadable_image_by_the_next():
    def decode(index):
        if index in (1, 2):
            raise ValueError("unreadable image: torn")
        return torch.full((3, 2, 2), index, dtype=torch.uint8)

    def lazy(limit):
        return LazyImageSet(decode, lambda index: f"file {index}", labels=torch.zeros(4, dtype=torch.int64),
                            class_names=("all",), name="torn", image_size=2, max_unreadable=limit)  # fmt: skip

    images = lazy(2)
    assert numbers(images) == [0, 3, 3, 3]
    assert images.skipped == ("file 1 (unreadable image: torn)", "file 2 (unreadable image: torn)")
    assert numbers(images) == [0, 3, 3, 3]
    assert numbers(images.in_memory()) == [0, 3]
    with pytest.raises(ValueError, match="max_unreadable=1"):
        lazy(1).batch([1])


def test_batches_leave_no_threads_behind(tmp_path):
    images = load(write_folder(tmp_path / "data"), tmp_path, memory_limit=0).train
    before = threading.active_count()
    images.batch([0, 1, 2])
    assert threading.active_count() == before


# errors


@pytest.mark.parametrize(
    ("options", "words"),
    [({"image_size": 0}, "image_size"), ({"validation_fraction": 1.0}, "validation_fraction")],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        load_images(**options)


def test_a_source_that_is_nowhere_is_one_line(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"\Adata 'no/where' is no file or folder here[^\n]*\Z"):
        load("no/where", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"\Adata '[^\n]*empty' could not be read[^\n]*\Z"):
        load(tmp_path / "empty", tmp_path)


def test_a_table_without_images_says_which_columns_it_has(tmp_path):
    import datasets

    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(str(tmp_path / "texts.parquet"))
    with pytest.raises(ValueError, match=r"no image column, only \['text'\]"):
        load(tmp_path / "texts.parquet", tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (torch.zeros(1, 1, 2, 2), torch.zeros(1, dtype=torch.int64), "uint8"),
        (torch.zeros(1, 1, 2, 3, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), "square"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), r"int64 \(1,\)"),
        (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.tensor([1]), "0 to 0"),
    ],
)
def test_an_image_set_that_does_not_fit_together_is_refused(images, labels, words):
    with pytest.raises(ValueError, match=words):
        ImageSet(images, labels, ("all",), "bad")
