"""From label columns to classes: numbers in order, and a label that is none is told with its image."""

import logging

import datasets
import pytest

from _support.image_files import CONTENTS, GROUPS, check_groups, write_table
from _support.mutants import catches
from vistok.workbench.data import load_images
from vistok.workbench.data._labels import Labels
from vistok.workbench.data._table import Table

SUBJECT = "vistok.workbench.data._labels"
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


def table(split, values, declared=None):
    return Table({"label": values}, "image", "label", declared, split, None)


@catches(SUBJECT, "sorted({v for column in columns.values() for v in column})", "sorted(set(columns[tables[0].split]))")
@catches(SUBJECT, "[column[row]] for row in rows", "[column[row]] for row in range(len(rows))")
def test_classes_are_the_values_of_all_splits_in_order():
    train, validation = table("train", ["cat", "ant", "cat"]), table("validation", ["bee", "cat"])
    labels = Labels(train, validation)
    assert labels.class_names == ("ant", "bee", "cat")
    assert labels.of(train, [1, 2]).tolist() == [0, 2]
    assert labels.of(validation, [0, 1]).tolist() == [1, 2]


@catches(SUBJECT, "values = range(len(declared)) if declared else", "values =")
def test_declared_classes_keep_their_numbers_whether_they_occur_or_not():
    train = table("train", [2, 0], declared=("z", "y", "x"))
    labels = Labels(train)
    assert labels.class_names == ("z", "y", "x")
    assert labels.of(train, [0, 1]).tolist() == [2, 0]


@catches(SUBJECT, "_check_declared(tables[0], table)", "pass")
@catches(SUBJECT, "if first.declared_classes and other.declared_classes and", "if")
@pytest.mark.parametrize(
    ("theirs", "met"), [(("dog", "cat"), "class 0 .* 'dog'"), (("cat",), "class 1 .* None")], ids=["order", "fewer"]
)
def test_splits_that_number_their_classes_otherwise_are_told(theirs, met):
    """As the shards of a stream may, whose numbers would be those of other classes."""
    train = table("train", [0, 1], declared=("cat", "dog"))
    with pytest.raises(ValueError, match=ONE_LINE.format(f"in one order, got .* as {met} of validation")):
        Labels(train, table("validation", [0, 0], declared=theirs))
    for declared in (("cat", "dog"), None):
        assert Labels(train, table("validation", [0, 1], declared=declared)).class_names == ("cat", "dog")


@catches(SUBJECT, "            _check_kinds(columns)\n", "            pass\n")
def test_numbers_in_one_split_and_texts_in_another_are_told():
    message = r"\Adata: expected numbers or texts as labels, got numbers in train and texts in test\Z"
    with pytest.raises(ValueError, match=message):
        Labels(table("train", [0, 1]), table("test", ["cat", "dog"]))


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


@catches(SUBJECT, "0 <= value < len(declared)", "value < len(declared)")
def test_a_class_that_is_missing_is_an_error_that_names_the_image(load):
    classes = {"label": datasets.ClassLabel(names=["a", "b"])}
    with pytest.raises(ValueError, match=ONE_LINE.format(r"train\[1\] has the label -1, that is none, as 6 of 12")):
        load({"label": [0, -1] * 6}, classes)


def test_a_column_of_nulls_is_no_label_and_says_so(load):
    splits, log = load({"label": [None] * 12})
    assert splits.train.class_names == ("all",)
    assert "column 'label' holds no label: all images are of one class" in log


@catches(SUBJECT, "return int(value) if isinstance(value, float) and value.is_integer() else value", "return value")
def test_whole_numbers_written_as_fractions_are_classes(load):
    check_groups(load({"label": [float(group) for group in GROUPS]})[0])
