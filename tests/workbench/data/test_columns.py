"""Which columns of a table are taken as images and as labels."""

import logging

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from _support.image_files import CONTENTS, GROUPS, check_groups, numbers, png, write_table
from _support.mutants import catches
from vistok.workbench.data import load_images
from vistok.workbench.data._columns import find_image_column, find_label_column

SUBJECT = "vistok.workbench.data._columns"
ONE_LINE = r"\A[^\n]*{}[^\n]*\Z"


@pytest.fixture
def load(tmp_path, caplog):
    """Training and validation images of a Parquet file with these columns, and what the log said."""
    caplog.set_level(logging.INFO)

    def loaded(columns, features=None, **options):
        path = write_table(tmp_path / "data" / "one.parquet", CONTENTS, columns, features)
        splits = load_images(path, image_size=8, cache_dir=tmp_path / "cache", validation_fraction=0.3, **options)
        return splits, caplog.text

    return loaded


@pytest.mark.parametrize("name", ["cls", "target", "digit"])
def test_a_single_column_of_whole_numbers_is_the_label_and_named_in_the_log(load, name):
    splits, log = load({name: GROUPS, "caption": ["words"] * 12, "width": [8] * 12, "__index_level_0__": [0] * 12})
    check_groups(splits)
    assert f"labels from column '{name}'" in log


@catches(SUBJECT, "(classes if len(classes) == 1 else named)", "named")
def test_a_single_column_of_classes_is_the_label_whatever_its_name(load):
    classes = datasets.ClassLabel(names=["a", "b", "c"])
    splits, log = load({"kind": GROUPS, "year": [n // 6 for n in range(12)]}, {"kind": classes})
    check_groups(splits, ("a", "b", "c"))
    assert "labels from column 'kind' (year could be meant too; data.label_column decides)" in log


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, ""),
        ({"year": GROUPS, "month": GROUPS}, " (month, year could be meant; data.label_column decides)"),
        ({"number": list(range(12))}, " (number could be meant; data.label_column decides)"),
        ({"score": [n / 7 for n in range(12)]}, " (columns image, score; data.label_column decides)"),
    ],
    ids=["none", "two", "one for each image", "fractions"],
)
def test_a_data_set_without_a_clear_label_says_so_and_is_of_one_class(load, columns, words):
    splits, log = load(columns)
    assert splits.train.class_names == ("all",)
    assert splits.train.labels.sum() == 0
    assert f"no labels found{words}: all images are of one class" in log


@catches(SUBJECT, "len(numbers) == 1 and _tells_groups(rows[numbers[0]])", "len(numbers) == 1")
@catches(SUBJECT, "and name.lower() not in _MEASURES", "")
def test_a_number_is_a_label_if_it_tells_groups_of_images_and_is_no_measure_of_them():
    def label(**columns):
        rows = datasets.Dataset.from_dict({"image": [b""] * 3, **columns})
        return find_label_column(datasets, rows, None, "image")[0]

    assert label(number=[1, 2, 1]) == "number"
    assert label(number=[1, 2, 3]) is None
    assert label(Width=[1, 2, 1]) is None
    assert label(Width=[1, 2, 1], number=[1, 2, 1]) == "number"


def test_the_label_column_is_the_one_asked_for(load):
    columns = {"label": [0] * 12, "year": GROUPS}
    check_groups(load(columns, label_column="year")[0])
    splits, log = load(columns, label_column="none")
    assert splits.train.class_names == ("all",)
    assert "no labels, as data.label_column says" in log


def test_the_image_column_is_the_one_asked_for(load):
    other = [{"bytes": png((n + 100, 0, 0)), "path": None} for n in range(12)]
    columns, features = {"mask": other, "label": GROUPS}, {"mask": datasets.Image(decode=False)}
    assert max(numbers(load(columns, features)[0].train)) < 12
    assert min(numbers(load(columns, features, image_column="mask")[0].train)) >= 100


@catches(SUBJECT, "[*(name for name in named if name in typed), *typed, *named]", "[*named, *typed]")
def test_a_column_that_is_declared_to_hold_images_comes_before_one_that_is_called_so():
    text, image = datasets.Value("string"), datasets.Image()
    assert find_image_column(datasets, {"image": text, "scan": image}, None) == "scan"
    assert find_image_column(datasets, {"scan": image, "png": image}, None) == "png"
    assert find_image_column(datasets, {"caption": text, "jpg": text}, None) == "jpg"


def test_a_table_that_declares_nothing_gives_its_only_column_of_files(tmp_path):
    files = pa.array([{"bytes": content, "path": "x.png"} for content in CONTENTS])
    pq.write_table(pa.table({"scan": files, "cls": GROUPS}), tmp_path / "plain.parquet")
    splits = load_images(tmp_path / "plain.parquet", image_size=8, cache_dir=tmp_path / "cache")
    check_groups(splits)


@pytest.mark.parametrize("key", ["image_column", "label_column"])
def test_a_column_that_is_not_there_is_an_error_with_the_nearest_name(load, key):
    words = rf"data\.{key}: expected one of class_id, image, got 'clas_id'; the nearest is 'class_id'"
    with pytest.raises(ValueError, match=ONE_LINE.format(words)):
        load({"class_id": GROUPS}, **{key: "clas_id"})


def test_a_column_that_holds_no_images_is_an_error_of_one_line(load):
    with pytest.raises(ValueError, match=ONE_LINE.format("one.parquet'")):
        load({"class_id": GROUPS}, image_column="class_id")


def test_a_table_without_images_says_which_columns_it_has(tmp_path):
    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(str(tmp_path / "texts.parquet"))
    with pytest.raises(ValueError, match=r"no image column, only \['text'\]"):
        load_images(tmp_path / "texts.parquet", cache_dir=tmp_path / "cache")
