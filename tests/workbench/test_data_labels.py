"""Which columns of a table are taken as images and labels, and what becomes of labels that are none."""

import logging
import tarfile

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from _support.image_files import numbers, png, write_table
from vistok.workbench.data import load_images

CONTENTS = [png((n, 0, 0)) for n in range(12)]
GROUPS = [n % 3 for n in range(12)]
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


def check_groups(splits, names=("0", "1", "2")):
    for images in splits:
        assert images.class_names == names
        assert images.labels.tolist() == [number % 3 for number in numbers(images)]


@pytest.mark.parametrize("name", ["cls", "target", "digit"])
def test_a_single_column_of_whole_numbers_is_the_label_and_named_in_the_log(load, name):
    splits, log = load({name: GROUPS, "caption": ["words"] * 12, "width": [8] * 12, "__index_level_0__": [0] * 12})
    check_groups(splits)
    assert f"labels from column '{name}'" in log


def test_a_single_column_of_classes_is_the_label_whatever_its_name(load):
    classes = datasets.ClassLabel(names=["a", "b", "c"])
    splits, log = load({"kind": GROUPS, "year": [n // 6 for n in range(12)]}, {"kind": classes})
    check_groups(splits, ("a", "b", "c"))
    assert "labels from column 'kind' (year could be meant too; data.label_column decides)" in log


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "columns image"),
        ({"year": GROUPS, "month": GROUPS}, "month, year could be meant"),
        ({"number": list(range(12))}, "number could be meant"),
        ({"score": [n / 7 for n in range(12)]}, "columns image, score"),
    ],
    ids=["none", "two", "one for each image", "fractions"],
)
def test_a_data_set_without_a_clear_label_says_so_and_is_of_one_class(load, columns, words):
    splits, log = load(columns)
    assert splits.train.class_names == ("all",)
    assert splits.train.labels.sum() == 0
    assert f"no labels found ({words}; data.label_column decides): all images are of one class" in log


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


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", "b", None, "a"] * 3, r"train\[2\] has the label None, that is none, as 3 of 12 images have"),
        ([0.0, 1.0, float("nan"), 1.0] * 3, r"train\[2\] has the label nan in column 'label'; expected a whole number"),
        ([0.0, 1.0, 0.5, 1.0] * 3, r"train\[2\] has the label 0\.5 in column 'label'"),
        ([[0], [1], [1, 2], [0]] * 3, r"train\[0\] has the label \[0\] in column 'label'"),
        ([{"a": 1}] * 12, r"train\[0\] has the label \{'a': 1\}"),
    ],
    ids=["null", "NaN", "fraction", "list", "mapping"],
)
def test_a_label_that_is_no_class_is_an_error_of_one_line_that_names_the_image(load, labels, words):
    with pytest.raises(ValueError, match=ONE_LINE.format(words)):
        load({"label": labels})


def test_a_class_that_is_missing_is_an_error_that_names_the_image(load):
    classes = {"label": datasets.ClassLabel(names=["a", "b"])}
    with pytest.raises(ValueError, match=ONE_LINE.format(r"train\[1\] has the label -1, that is none, as 6 of 12")):
        load({"label": [0, -1] * 6}, classes)


def test_a_column_of_nulls_is_no_label_and_says_so(load):
    splits, log = load({"label": [None] * 12})
    assert splits.train.class_names == ("all",)
    assert "column 'label' holds no label: all images are of one class" in log


@pytest.mark.parametrize("missing", [None, -1])
def test_a_test_split_without_labels_is_not_used_and_the_log_says_so(tmp_path, caplog, missing):
    classes = {"label": datasets.ClassLabel(names=["a", "b", "c"])}
    write_table(tmp_path / "data" / "train.parquet", CONTENTS, {"label": GROUPS}, classes)
    write_table(tmp_path / "data" / "test.parquet", CONTENTS[:3], {"label": [missing] * 3}, classes)
    splits = load_images(tmp_path / "data", image_size=8, cache_dir=tmp_path / "cache", validation_fraction=0.3)
    check_groups(splits, ("a", "b", "c"))
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(12))
    assert "split test is not used, since none of its images has a label" in caplog.text
    splits = load_images(tmp_path / "data", image_size=8, cache_dir=tmp_path / "cache", label_column="none")
    assert (len(splits.train), len(splits.validation)) == (12, 3)


def test_whole_numbers_written_as_fractions_are_classes(load):
    check_groups(load({"label": [float(group) for group in GROUPS]})[0])


def test_a_folder_of_tar_archives_gives_images_and_their_cls(tmp_path):
    (tmp_path / "data").mkdir()
    for split, members in (("train", CONTENTS[:8]), ("val", CONTENTS[8:])):
        with tarfile.open(tmp_path / "data" / f"{split}-000.tar", "w") as archive:
            for number, content in enumerate(members, 0 if split == "train" else 8):
                for name, data in ((f"{number:03}.png", content), (f"{number:03}.cls", str(number % 3).encode())):
                    (tmp_path / name).write_bytes(data)
                    archive.add(tmp_path / name, name)
    splits = load_images(tmp_path / "data", image_size=8, cache_dir=tmp_path / "cache")
    assert (len(splits.train), len(splits.validation)) == (8, 4)
    check_groups(splits)
