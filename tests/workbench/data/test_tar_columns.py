"""Columns of tar archives, whatever their records have: images of several endings, labels, odd values."""

import pytest

from _support.image_files import numbers, png
from _support.mutants import catches
from _support.tar_files import write_archive
from vistok.workbench.data import load_images

SUBJECT = "vistok.workbench.data._tar_columns"
ARCHIVES = "vistok.workbench.data._tar_archives"


def load(source, tmp_path, **options):
    return load_images(source, cache_dir=tmp_path / "cache", image_size=8, **options)


def image_of(number, ending):
    """A picture with its number, under any ending: what it is, its content says."""
    return f"{number:03}.{ending}", png((number, 0, 0))


def label_of(number, ending="cls"):
    return f"{number:03}.{ending}", str(number % 2).encode()


@catches(SUBJECT, "pc.coalesce(*(table[each] for each in names))", "table[names[0]]")
@catches("vistok.workbench.data._table", "splits = one_image_column(splits)", "pass")
@pytest.mark.parametrize("streaming", [None, 1 << 30])
def test_images_of_several_endings_are_one_column_where_no_record_has_two(tmp_path, streaming):
    endings = ["jpg"] * 4 + ["png", "left.webp"] * 2 + ["jpg", "png"] * 2
    members = [
        member for number, ending in enumerate(endings) for member in (image_of(number, ending), label_of(number))
    ]
    write_archive(tmp_path / "data" / "train-0.tar", members[:8])
    write_archive(tmp_path / "data" / "train-1.tar", members[8:])
    write_archive(tmp_path / "data" / "val-0.tar", [image_of(20, "jpeg"), label_of(20)])
    splits = load(tmp_path / "data", tmp_path, streaming_limit=streaming)
    assert (numbers(splits.train), numbers(splits.validation)) == (list(range(12)), [20])
    assert splits.train.labels.tolist() == [number % 2 for number in range(12)]
    assert splits.train.skipped == ()


@catches(SUBJECT, "pc.any(pc.and_(seen, valid)).as_py()", "False")
@catches("vistok.workbench.data._table", "if in_archives and image_column is None", "if in_archives")
def test_images_of_two_endings_in_a_record_and_of_one_that_is_asked_for_stay_apart(tmp_path):
    pairs = [
        member
        for number in range(6)
        for member in ((f"{number:03}.seg.png", png((number + 50, 0, 0))), image_of(number, "jpg"))
    ]
    masked = write_archive(tmp_path / "masked.tar", pairs)
    splits = load(masked, tmp_path, image_column="seg.png", validation_fraction=0.4)
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(50, 56))
    splits = load(masked, tmp_path, validation_fraction=0.4)
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(6))
    write_archive(tmp_path / "mixed" / "train.tar", [image_of(n, ("jpg", "png")[n % 2]) for n in range(8)])
    write_archive(tmp_path / "mixed" / "val.tar", [image_of(9, "png")])
    splits = load(tmp_path / "mixed", tmp_path, image_column="png")
    assert (numbers(splits.train), numbers(splits.validation)) == ([1, 3, 5, 7], [9])


@catches(SUBJECT, "for rows in splits.values() for ending in", "for rows in [*splits.values()][:1] for ending in")
def test_each_split_may_be_of_one_ending_of_its_own(tmp_path):
    write_archive(tmp_path / "data" / "train.tar", [image_of(number, "jpg") for number in range(3)])
    write_archive(tmp_path / "data" / "val.tar", [image_of(9, "png")])
    splits = load(tmp_path / "data", tmp_path)
    assert (numbers(splits.train), numbers(splits.validation)) == ([0, 1, 2], [9])


@catches(ARCHIVES, "            ending = ending.lower()\n", "")
def test_endings_in_capitals_are_those_in_small_letters(tmp_path):
    for ending, content in (("CLS", b"%d"), ("JSON", b'{"label": %d}')):
        members = [image_of(number, "PNG") for number in range(8)]
        members += [(f"{number:03}.{ending}", content % (number % 2)) for number in range(8)]
        train = load(write_archive(tmp_path / f"{ending}.tar", members), tmp_path, validation_fraction=0.3).train
        assert train.class_names == ("0", "1")
        assert train.labels.tolist() == [number % 2 for number in numbers(train)]


@catches(ARCHIVES, ' or (ending == "cls" and not text)', "")
def test_an_empty_cls_is_no_label(tmp_path):
    members = [member for number in range(8) for member in (image_of(number, "png"), label_of(number))]
    members[7] = ("003.cls", b" \n")
    source = write_archive(tmp_path / "one.tar", members)
    with pytest.raises(ValueError, match=r"\Aimage one\.tar/003\.png has the label None, that is none, as 1 of 8"):
        load(source, tmp_path)
