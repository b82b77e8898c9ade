"""Files that declare other classes than each other are told apart, not read by what one of them declares."""

import datasets
import pytest

from _support.image_files import png, write_table
from _support.mutants import catches
from vistok.workbench.data import load_images
from vistok.workbench.data._declared_classes import check_declared_classes

SUBJECT = "vistok.workbench.data._declared_classes"


def declaring(**columns):
    features = {name: datasets.ClassLabel(names=names) for name, names in columns.items()}
    return datasets.Features({**features, "text": datasets.Value("string")}).arrow_schema


def write(path, names):
    labels = {"label": [names.index(("cat", "dog")[number % 2]) for number in range(4)]}
    contents = [png((number, 0, 0)) for number in range(4)]
    return write_table(path, contents, labels, {"label": datasets.ClassLabel(names=names)})


def load(source, tmp_path, **options):
    return load_images(source, image_size=8, cache_dir=tmp_path / "cache", **options)


@catches("vistok.workbench.data._sources", "    check_declared_classes(", "    all(")
def test_parquet_files_that_number_classes_otherwise_are_an_error_that_names_both(tmp_path):
    first = write(tmp_path / "data" / "train-0.parquet", ["cat", "dog"])
    for name in ("train-1", "test-0"):
        path = write(first.with_name(f"{name}.parquet"), ["dog", "cat"])
        files, classes = sorted([path.name, first.name]), ["'cat'", "'dog'"]
        files, classes = (files, classes) if name == "train-1" else (files, classes[::-1])
        words = (
            f"{files[0]} and {files[1]}: expected the same classes of 'label' in one order, got {' and '.join(classes)}"
        )
        with pytest.raises(ValueError, match=rf"\Adata '[^\n]*' could not be read: {words} as class 0\Z"):
            load(tmp_path / "data", tmp_path)
        write(path, ["cat", "dog"])
        assert load(tmp_path / "data", tmp_path).train.class_names == ("cat", "dog")
        path.unlink()


@catches("vistok.workbench.data._streams", "    check_declared_classes(", "    all(")
def test_shards_of_a_stream_that_number_classes_otherwise_are_an_error_that_names_both(tmp_path):
    write(tmp_path / "data" / "train-0.parquet", ["cat", "dog"])
    other = write(tmp_path / "data" / "train-1.parquet", ["dog", "cat"])
    words = (
        "train-0.parquet and train-1.parquet: expected the same classes of 'label' in one order, got 'cat' and 'dog'"
    )
    with pytest.raises(ValueError, match=rf"\Adata '[^\n]*' could not be read: {words} as class 0\Z"):
        load(tmp_path / "data", tmp_path, streaming_limit=1 << 30)
    write(other, ["cat", "dog"])
    splits = load(tmp_path / "data", tmp_path, streaming_limit=1 << 30)
    assert (splits.train.class_names, sum(map(len, splits))) == (("cat", "dog"), 8)


@catches(SUBJECT, "if names != feature.names", "if set(names) != set(feature.names)")
@catches(SUBJECT, "first.setdefault(column,", "first.setdefault('',")
@catches(SUBJECT, "[shared:]", "[:]")
def test_each_column_is_compared_with_what_the_first_file_declares_that_does():
    schemas = [
        ("/x/a/0", declaring(coarse=["a", "b"])),
        ("/x/a/1", declaring(fine=["p", "q"])),
        ("/x/b/1", declaring(coarse=["a", "b"], fine=["p", "q"])),
    ]
    check_declared_classes(schemas)
    for names, got in ((["q", "p"], "'p' and 'q' as class 0"), (["p", "q", "r"], "none and 'r' as class 2")):
        words = f"a/1 and b/0: expected the same classes of 'fine' in one order, got {got}"
        with pytest.raises(ValueError, match=rf"\A{words}\Z"):
            check_declared_classes([*schemas, ("/x/b/0", declaring(fine=names))])


@catches("vistok.workbench.data._parquet_shards", "with _naming(path.name)", "if path.name")
def test_a_parquet_file_that_is_cut_off_is_named(tmp_path):
    for number in range(2):
        path = write(tmp_path / "data" / f"train-{number}.parquet", ["cat", "dog"])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"\Adata '[^\n]*' could not be read: train-1\.parquet: [^\n]*\Z"):
        load(tmp_path / "data", tmp_path)
