"""One call to training and validation images: how they are split, what they are, and what is kept."""

import logging
import os
import time

import pytest
import torch

from _support.image_files import noise, numbers, photographs, png, write_folder, write_parquet
from _support.mutants import catches
from vistok.metrics import to_uint8
from vistok.workbench.data import ImageSet, LazyImageSet, batch_indices, load_images
from vistok.workbench.data.resize import decode_whole
from vistok.workbench.data.resized_crop import resized_crop
from vistok.workbench.evaluation.measures import image_counts

SUBJECT = "vistok.workbench.data.loading"


def load(source, tmp_path, **options):
    return load_images(source, cache_dir=tmp_path / "cache", image_size=8, **options)


# the split


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


@catches(SUBJECT, "map(train.split_key, train_rows)", "(str(row).encode() for row in train_rows)")
def test_equal_images_of_a_table_stay_on_one_side(tmp_path):
    rows = [(png((n // 2, 0, 0)), 0) for n in range(40)]
    splits = load(write_parquet(tmp_path / "one.parquet", rows), tmp_path, validation_fraction=0.5)
    assert not set(numbers(splits.train)) & set(numbers(splits.validation))
    assert len(splits.train) + len(splits.validation) == 40


@pytest.mark.parametrize("count", [2, 3, 10, 31])
@pytest.mark.parametrize("fraction", [1e-6, 0.02, 0.1, 0.9, 1 - 1e-6])
def test_both_sides_of_a_split_have_at_least_one_image(tmp_path, count, fraction):
    rows = [(png((n, 0, 0)), 0) for n in range(count)]
    source = write_parquet(tmp_path / "one.parquet", rows)
    splits = load_images(source, image_size=8, cache_dir=tmp_path / "cache", validation_fraction=fraction)
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(count))
    assert len(splits.train) >= 1
    assert len(splits.validation) >= 1


def test_one_image_alone_is_no_data_set(tmp_path):
    source = write_parquet(tmp_path / "one.parquet", [(png(0), 0)] * 5)
    with pytest.raises(ValueError, match="both sides need at least one"):
        load_images(source, image_size=8, cache_dir=tmp_path / "cache")


# the images


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


@catches(SUBJECT, 'side == "train" and request.random_crop', "request.random_crop")
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


@catches(SUBJECT, "scale=request.crop_scale", "scale=SCALE")
@catches(SUBJECT, 'decode_whole if cropped == "resized" else decode_for_crops', "decode_for_crops")
def test_resized_crops_are_cut_from_whole_images_that_are_never_held_in_memory(tmp_path):
    options = {"image_size": 16, "cache_dir": tmp_path / "cache", "random_crop": "resized", "workers": 0}
    folder = photographs(tmp_path / "data")
    splits = load_images(folder, crop_scale=(0.3, 0.5), **options)
    assert isinstance(splits.train, LazyImageSet)
    assert isinstance(splits.validation, ImageSet)
    draws = torch.rand(4, 22, generator=torch.Generator().manual_seed(0))
    for index, (pixels, draw) in enumerate(zip(splits.train.pixels(range(4), draws), draws.tolist(), strict=True)):
        file = next(folder.rglob(splits.train._item_name(index)))
        assert torch.equal(pixels, resized_crop(decode_whole(file, 16), 16, draw, scale=(0.3, 0.5)))


def test_resized_crops_of_digits_are_of_whole_ones():
    train = load_images(image_size=16, random_crop="resized", crop_scale=(1.0, 1.0)).train
    assert train.uncropped[0].shape == (1, 32, 32)
    expected = resized_crop(train.uncropped[5], 16, [0.5] * 22, scale=(1.0, 1.0))
    assert torch.equal(train.pixels([5], torch.full((1, 22), 0.5))[0], expected)


@catches(SUBJECT, 'request.fast_decoding and side == "train"', "request.fast_decoding")
@catches(SUBJECT, "max_pixels=request.max_pixels, fast=fast)", "max_pixels=request.max_pixels, fast=False)")
def test_fast_decoding_is_for_training_images_alone(tmp_path):
    for number in range(6):
        folder = tmp_path / "data" / ("train" if number % 2 else "val") / "all"
        folder.mkdir(parents=True, exist_ok=True)
        noise(64, 48, seed=number).save(folder / f"{number}.jpg")
    options = {"image_size": 16, "cache_dir": tmp_path / "cache"}
    plain, fast = (load_images(tmp_path / "data", fast_decoding=fast, **options) for fast in (False, True))
    assert not torch.equal(plain.train.images, fast.train.images)
    assert torch.equal(plain.validation.images, fast.validation.images)


@catches(SUBJECT, "Path(request.source).name or ", "")
@catches(SUBJECT, " or Path(request.source).resolve().name", "")
def test_a_set_is_called_as_its_source_ends_and_the_folder_of_the_moment_by_its_name(tmp_path, monkeypatch):
    write_folder(tmp_path / "photos")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    monkeypatch.chdir(tmp_path / "photos")
    for source, name in ((".", "photos"), (tmp_path / "photos", "photos"), (tmp_path / "link", "link")):
        sides = load_images(source, image_size=8, cache_dir=tmp_path / "cache")
        assert (sides.train.name, sides.validation.name) == (f"{name} train", f"{name} validation")


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


@catches(SUBJECT, "partial(_is_readable, request, train)", "lambda row: True")
@catches(SUBJECT, "    except ValueError:\n        return False", "    except OSError:\n        return False")
@pytest.mark.parametrize("side", ["train", "validation"])
@pytest.mark.parametrize("memory_limit", [0, 1 << 30])
def test_a_side_of_unreadable_images_alone_gets_the_next_readable_one(tmp_path, side, memory_limit):
    folder = write_folder(tmp_path / "data", 12)
    fraction = 1e-6 if side == "validation" else 1 - 1e-6
    options = {"validation_fraction": fraction, "memory_limit": memory_limit}
    (alone,) = numbers(getattr(load(folder, tmp_path, **options), side))
    broken = next(folder.rglob(f"{alone:03}.png"))
    broken.write_bytes(b"")
    splits = load(folder, tmp_path, **options)
    train, validation = ({*numbers(images)} for images in splits)
    assert min(len(train), len(validation)) == 1
    assert sorted([*train, *validation]) == [number for number in range(12) if number != alone]
    assert [name.split(" ")[0] for name in getattr(splits, side).skipped] == [broken.relative_to(folder).as_posix()]
    with pytest.raises(ValueError, match=rf"max_unreadable=0 images could not be read, first: [a-z]+/{alone:03}.png"):
        list(map(numbers, load(folder, tmp_path, **options, max_unreadable=0)))


def test_too_many_unreadable_images_are_an_error_of_one_line(tmp_path):
    folder = broken_folder(tmp_path)
    for file in folder.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(ValueError, match=r"\A[^\n]*max_unreadable=1[^\n]*\.png[^\n]*\Z"):
        load(folder, tmp_path, max_unreadable=1)
    with pytest.raises(ValueError, match="no readable image"):
        load(folder, tmp_path, max_unreadable=100)


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


@pytest.mark.parametrize(
    ("options", "words"),
    [({"image_size": 0}, "image_size"), ({"validation_fraction": 1.0}, "validation_fraction")],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        load_images(**options)


# what is kept


@catches(SUBJECT, "signature(name, streaming=streaming_limit is not None))", "(0, 0, 0))")
def test_equal_calls_share_what_they_give_until_the_source_changes(tmp_path):
    folder = write_folder(tmp_path / "data")
    options = {"image_size": 8, "cache_dir": tmp_path / "cache"}
    first = load_images(folder, **options)
    assert load_images(folder, **options).train is first.train
    assert load_images(folder, split_seed=1, **options).train is not first.train
    first = load_images(folder, **options)
    (folder / "even" / "100.png").write_bytes(png((100, 0, 0)))
    more = load_images(folder, **options)
    assert len(more.train) + len(more.validation) == 31
    changed = folder / "even" / "100.png"
    changed.write_bytes(png((101, 0, 0)))
    os.utime(changed, ns=(time.time_ns(), time.time_ns() + 10**9))
    again = load_images(folder, **options)
    assert 101 in numbers(again.train) + numbers(again.validation)


def test_a_relative_source_is_not_mistaken_for_that_of_another_folder(tmp_path, monkeypatch):
    for name, count in (("one", 20), ("two", 30)):
        write_folder(tmp_path / name / "data", count)
        monkeypatch.chdir(tmp_path / name)
        train, validation = load_images("data", image_size=8, cache_dir=tmp_path / "cache")
        assert len(train) + len(validation) == count


@catches(SUBJECT, "    _warn_of_unseen(splits)\n", "")
@catches(
    SUBJECT, "{*splits.train.labels.tolist()}", "{*splits.train.labels.tolist(), *splits.validation.labels.tolist()}"
)
def test_classes_without_an_image_to_train_on_are_told(tmp_path, caplog):
    write_parquet(tmp_path / "few.parquet", [(png((n, 0, 0)), f"class {n}") for n in range(12)])
    splits = load_images(tmp_path / "few.parquet", image_size=8, validation_fraction=0.4)
    unseen = sorted({*range(12)} - {*splits.train.labels.tolist()})
    names = splits.train.class_names
    assert len(unseen) > 3
    said = (
        f"data: {len(unseen)} of 12 classes have no image to train on: {', '.join(names[n] for n in unseen[:3])}, ..."
    )
    assert said in caplog.messages
