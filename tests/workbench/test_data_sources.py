"""What a source is, told at once; what it holds, told cheaply; what was loaded, kept."""

import os
import time

import pytest

from _support.image_files import numbers, png, write_folder, write_parquet, write_table
from vistok.workbench.data import describe_source, load_images
from vistok.workbench.recipe_config import DataConfig


@pytest.fixture
def hub(monkeypatch):
    """The ids that were asked of the hub, none of which is there."""
    import datasets
    import huggingface_hub

    asked = []

    def info(self, repo_id, **options):
        asked.append(repo_id)
        raise ConnectionError("no such data set\nand a second line")

    def load_dataset(path, **options):
        asked.append(f"load_dataset {path}")
        raise ConnectionError("five retries later")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", info)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


@pytest.mark.parametrize(
    "source",
    ["/no/where", "./where", "../where", "~/where", "where", "a/b/c", "images/cats.png", "data.parquet", "", " ", "\0",
     "here/where", "a" * 300, "/" + "a" * 300, "org/name/"],
)  # fmt: skip
def test_what_looks_like_a_path_never_goes_to_the_hub(source, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(ValueError, match=r"\Adata '[^\n]*\Z") as error:
        load_images(source, cache_dir=tmp_path / "cache")
    assert hub == []
    assert len(str(error.value)) < 500


def test_a_hub_id_that_is_not_there_is_one_line_without_retries(hub, tmp_path):
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r"\Adata 'no/where' is no file or folder here[^\n]*: no such data set\Z"):
        load_images("no/where", cache_dir=tmp_path / "cache")
    assert hub == ["no/where"]
    assert time.monotonic() - begin < 2


def test_a_mistyped_path_names_what_is_near(tmp_path):
    (tmp_path / "emoji64").mkdir()
    with pytest.raises(ValueError, match=r"\Adata '[^\n]*emoij64' is no file or folder here \(near: [^\n]*emoji64\)"):
        load_images(tmp_path / "emoij64")


@pytest.mark.parametrize("name", ["notes.txt", "images.zip", "images.tar.gz"])
def test_another_kind_of_file_says_what_is_expected(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK no table of images")
    with pytest.raises(ValueError, match=r"\A[^\n]*neither Parquet nor \.tar; expected 'digits', a folder[^\n]*\Z"):
        load_images(tmp_path / name)


def test_a_folder_without_images_says_so(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match="holds neither images nor"):
        load_images(tmp_path / "data", cache_dir=tmp_path / "cache")


# the split


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


def test_the_data_section_decides_columns_split_and_limits(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    contents = [png((n, 0, 0)) for n in range(40)] + [png(0, size=(30, 30))]
    source = write_table(tmp_path / "one.parquet", contents, {"label": [0] * 41, "year": [n % 2 for n in range(41)]})
    config = DataConfig(
        source=str(source), image_size=8, label_column="year", validation_fraction=0.5, max_pixels=64, max_unreadable=1
    )
    train, validation = config.load()
    assert train.class_names == ("0", "1")
    assert 10 < len(validation) < 30
    assert len(train.skipped + validation.skipped) == 1
    assert config.describe().num_classes == 2
    with pytest.raises(ValueError, match="validation_fraction"):
        DataConfig(validation_fraction=0.0)


# the description


def test_a_description_is_what_loading_gives(tmp_path):
    digits = describe_source()
    train = load_images().train
    assert digits == (train.channels, len(train), len(train.class_names), train.image_size)
    write_folder(tmp_path / "data" / "train", 9)
    write_folder(tmp_path / "data" / "val", 4)
    (tmp_path / "data" / "train" / "odd" / "broken.png").write_bytes(b"no image")
    found = describe_source(tmp_path / "data", cache_dir=tmp_path / "cache")
    train = load_images(tmp_path / "data", cache_dir=tmp_path / "cache", max_unreadable=1).train
    assert found == (train.channels, 10, len(train.class_names), 8)


def test_a_description_tells_the_usual_shorter_side_from_headers_alone(tmp_path, monkeypatch):
    from vistok.workbench.data import resize

    contents = [png(0, size=(50, 20))] * 3 + [png(0, size=(30, 90))] * 4 + [png(0, size=(200, 400))] * 2
    source = write_table(tmp_path / "one.parquet", contents, {"cls": [0, 1, 2] * 3})
    monkeypatch.setattr(resize, "_open", None)
    found = describe_source(source, cache_dir=tmp_path / "cache")
    assert (found.num_images, found.num_classes, found.image_size) == (9, 3, 30)
    assert describe_source(source, label_column="none", cache_dir=tmp_path / "cache").num_classes == 1


def test_a_description_of_nothing_readable_is_an_error(tmp_path):
    write_folder(tmp_path / "data", 3)
    for file in (tmp_path / "data").rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(ValueError, match="has no readable image"):
        describe_source(tmp_path / "data", cache_dir=tmp_path / "cache")


# what is kept


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
