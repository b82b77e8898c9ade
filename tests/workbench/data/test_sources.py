"""What a source is, told at once: a folder, a file, tar archives, a hub data set; which split is which."""

import os
import tarfile
import time

import datasets
import pytest

from _support.image_files import CONTENTS, GROUPS, check_groups, numbers, png, write_parquet, write_table
from _support.mutants import catches
from vistok.workbench.data import load_images
from vistok.workbench.data._sources import signature

SUBJECT = "vistok.workbench.data._sources"


def load(source, tmp_path, **options):
    return load_images(source, cache_dir=tmp_path / "cache", image_size=8, **options)


@pytest.fixture
def hub(monkeypatch):
    """The ids that were asked of the hub, none of which is there."""
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
    [
        "/no/where",
        "./where",
        "../where",
        "~/where",
        "where",
        "a/b/c",
        "images/cats.png",
        "data.parquet",
        "",
        " ",
        "\0",
        "here/where",
        "a" * 300,
        "/" + "a" * 300,
        "org/name/",
    ],
)
def test_what_looks_like_a_path_never_goes_to_the_hub(source, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(ValueError, match=r"\Adata '[^\n]*\Z") as error:
        load_images(source, cache_dir=tmp_path / "cache")
    assert hub == []
    assert len(str(error.value)) < 500


@catches(SUBJECT, "huggingface_hub.HfApi().dataset_info(source, timeout=20)", "pass")
def test_a_hub_id_that_is_not_there_is_one_line_without_retries(hub, tmp_path):
    begin = time.monotonic()
    with pytest.raises(ValueError, match=r"\Adata 'no/where' is no file or folder here[^\n]*: no such data set\Z"):
        load_images("no/where", cache_dir=tmp_path / "cache")
    assert hub == ["no/where"]
    assert time.monotonic() - begin < 2


def test_a_source_that_is_nowhere_is_one_line(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"\Adata 'no/where' is no file or folder here[^\n]*\Z"):
        load("no/where", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"\Adata '[^\n]*empty' could not be read[^\n]*\Z"):
        load(tmp_path / "empty", tmp_path)


def test_a_mistyped_path_names_what_is_near(tmp_path):
    (tmp_path / "emoji64").mkdir()
    with pytest.raises(ValueError, match=r"\Adata '[^\n]*emoij64' is no file or folder here \(near: [^\n]*emoji64\)"):
        load_images(tmp_path / "emoij64")


@pytest.mark.parametrize("name", ["notes.txt", "images.zip", "images.tar.gz"])
def test_another_kind_of_file_says_what_is_expected(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK no table of images")
    with pytest.raises(
        ValueError, match=r"\A[^\n]*neither Parquet nor \.tar; expected 'digits', 'openmoji', a folder[^\n]*\Z"
    ):
        load_images(tmp_path / name)


@catches(SUBJECT, ' if (path / name).exists()), "")', '), "")')
def test_a_folder_without_images_says_so(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"holds neither images nor \.parquet nor \.tar files$"):
        load_images(tmp_path / "data", cache_dir=tmp_path / "cache")


@catches(SUBJECT, "_SAVED.items() if (path / name).exists()", "_SAVED.items() if False")
@catches(SUBJECT, "for split, rows in load_from_disk(...).items(): rows", "load_from_disk(...)")
def test_what_save_to_disk_wrote_is_refused_with_what_makes_it_readable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = datasets.Dataset.from_dict({"image": [{"bytes": content, "path": None} for content in CONTENTS]})
    rows = rows.cast_column("image", datasets.Image())
    saved = {
        "one": rows,
        "several": datasets.DatasetDict(train=rows.select(range(8)), validation=rows.select(range(8, 12))),
    }
    for name, each in saved.items():
        each.save_to_disk(tmp_path / name)
        with pytest.raises(
            ValueError, match=r"\A[^\n]*\.tar files; what save_to_disk wrote is read after .*\Z"
        ) as caught:
            load_images(tmp_path / name, cache_dir=tmp_path / "cache")
        (tmp_path / "folder").mkdir(exist_ok=True)
        hint = str(caught.value).partition(" is read after ")[2]
        hint = hint.replace("to_parquet(...)", "to_parquet('one.parquet')").replace("...", repr(str(tmp_path / name)))
        exec(hint, {"load_from_disk": datasets.load_from_disk})
    assert sum(map(len, load_images(tmp_path / "one.parquet", cache_dir=tmp_path / "cache"))) == 12
    assert list(map(len, load_images(tmp_path / "folder", cache_dir=tmp_path / "cache"))) == [8, 4]


# splits


@catches("vistok.workbench.data._image_folders", "word.removesuffix(", "name.removesuffix(")
def test_parquet_files_named_by_split(tmp_path):
    write_parquet(tmp_path / "data" / "train-0.parquet", [(png((n, 0, 0)), f"c{n % 3}") for n in range(6)])
    write_parquet(tmp_path / "data" / "validation-0.parquet", [(png((9, 0, 0)), "c2")])
    splits = load(tmp_path / "data", tmp_path)
    assert numbers(splits.train) == list(range(6))
    assert splits.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert splits.validation.labels.tolist() == [2]
    assert splits.validation.class_names == ("c0", "c1", "c2")


@catches(SUBJECT, "glob.escape(str(file))", "str(file)")
def test_parquet_files_may_have_brackets_in_their_path(tmp_path):
    folder = tmp_path / "set[1]*?"
    write_parquet(folder / "train-[0].parquet", [(png((n, 0, 0)), f"c{n % 3}") for n in range(6)])
    write_parquet(folder / "val[0].parquet", [(png((9, 0, 0)), "c2")])
    splits = load(folder, tmp_path)
    assert (numbers(splits.train), numbers(splits.validation)) == (list(range(6)), [9])
    splits = load(folder / "train-[0].parquet", tmp_path)
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(6))


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


@catches(SUBJECT, "max(newest, state.st_mtime_ns)", "newest")
@catches(SUBJECT, " if place.path.is_dir() else []", "")
def test_the_signature_of_a_source_changes_with_the_time_the_size_and_the_number_of_its_files(tmp_path):
    file = tmp_path / "a" / "b.png"
    file.parent.mkdir()
    file.write_bytes(b"12")
    seen = [signature(str(tmp_path))]
    assert signature(str(tmp_path)) == seen[0]
    later = time.time_ns() + 10**12
    os.utime(file, ns=(later, later))
    seen.append(signature(str(tmp_path)))
    file.write_bytes(b"123")
    os.utime(file, ns=(later, later))
    seen.append(signature(str(tmp_path)))
    (tmp_path / "c.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d.png").write_bytes(b"")
    seen.append(signature(str(tmp_path)))
    assert len(set(seen)) == 4
    assert signature(str(file)) == (1, 3, later)


@catches(SUBJECT, "return _state_of(matching_files(source))", "return (0, 0, 0)")
def test_the_signature_of_a_pattern_is_that_of_the_archives_that_it_names(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.tar").write_bytes(b"12")
    for pattern in (f"{tmp_path}/*.tar", f"{tmp_path}/{{0..1}}.tar"):
        seen = [signature(pattern), signature(pattern)]
        (tmp_path / "1.tar").write_bytes((tmp_path / "1.tar").read_bytes() + b"3")
        assert seen[0] == seen[1] != signature(pattern)
    assert signature(f"{tmp_path}/{{1..9}}.tar")[0] == 2
    assert signature("https://example.org/{0..1}.tar") == (0, 0, 0)
