"""Where an image lies says of which split and class it is, and none is dropped without a word."""

import json
import os
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from _support.image_files import numbers, png, unlisted, write_folder
from _support.mutants import catches
from vistok.workbench.data import load_images
from vistok.workbench.data._image_folders import contents, shown_files, split_of
from vistok.workbench.data._sources import signature
from vistok.workbench.run.folder import mark_run

SUBJECT = "vistok.workbench.data._image_folders"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data[1]"


@pytest.fixture
def load(folder, tmp_path):
    def loaded(**options):
        return load_images(folder, cache_dir=tmp_path / "cache", image_size=8, **options)

    return loaded


def put(folder, *names, content=None):
    """Images by their paths, each of whose red channels is its place."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png((number, 0, 0)) if content is None else content)


def named(images):
    """The class of each image by its number."""
    return {
        number: images.class_names[label] for number, label in zip(numbers(images), images.labels.tolist(), strict=True)
    }


def test_a_folder_that_cannot_be_listed_is_one_line_that_names_it(folder, load, monkeypatch):
    put(folder, *(f"{name}/{number}.png" for name in ("ant", "cat") for number in range(4)))
    load()
    unlisted(monkeypatch, folder / "cat")
    with pytest.raises(ValueError, match=r"\A[^\n]*/cat: expected a folder that can be listed, got: [^\n]*\Z"):
        load()


# splits


@catches(SUBJECT, '"".join(itertools.takewhile(str.islower, name))', 'name.rstrip("0123456789")')
@catches(SUBJECT, '.removesuffix("set")', "")
@catches(SUBJECT, "_SPLITS.get(word", "next((_SPLITS[s] for s in _SPLITS if name.startswith(s)), None) or (word")
def test_a_split_is_told_by_the_first_word_of_a_name():
    for split, names in {
        "train": "train training train_1 train-part1 train2017 trainset training_set trainval2012 trainA train.csv",
        "validation": "validation validation-00000-of-00001.parquet validationset",
        "val": "val val2017 val_1 valSet",
        "valid": "valid valid-2",
        "dev": "dev dev-clean development",
        "test": "test testing test2017 test.parquet testB",
        None: "valley validity device devices tests trains trainer train\u00e9e my_train 2train Train set \u00e9",
    }.items():
        assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


def test_a_validation_folder_is_kept(folder, load):
    write_folder(folder / "train", 6)
    write_folder(folder / "val", 2)
    splits = load()
    assert sorted(numbers(splits.train)) == list(range(6))
    assert sorted(numbers(splits.validation)) == [0, 1]


def test_a_class_or_an_image_may_be_called_train(folder, load):
    names = [f"{name}/{number}.png" for name in ("cars", "train", "trams") for number in range(4)]
    put(folder, "cars/train.png", *names[1:])
    splits = load()
    assert len(splits.train) + len(splits.validation) == 12
    assert splits.train.class_names == ("cars", "train", "trams")


@catches(SUBJECT, "1 + (None in splits)", "1")
def test_classes_whose_names_begin_as_splits_do_are_read_whole(folder, load, caplog):
    places = ("airfield", "train_interior", "train_station", "valley", "zoo")
    put(folder, *(f"{name}/{number}.png" for name in places for number in range(4)))
    splits = load()
    assert splits.train.class_names == places
    assert named(splits.train) | named(splits.validation) == {number: places[number // 4] for number in range(20)}
    assert "no splits" not in caplog.text


@catches(SUBJECT, "elif _hold_out(map(str.lower, folders)):", "elif False:")
@catches(SUBJECT, "elif _hold_out(map(str.lower, folders)):", "elif any(map(str.isupper, ''.join(folders))):")
@catches(SUBJECT, "for name in classes if split_of(name.lower())", "for name in classes")
def test_splits_that_begin_with_a_capital_are_read_whole_and_the_log_says_so(folder, load, caplog):
    told = "data: Test, Train: no splits, whose names are of small letters (test, train); their images are not held out"
    put(folder, *(f"{split}/{name}/{number}.png" for split in ("Train", "Test") for name in "ab" for number in (0, 1)))
    splits = load()
    assert len(splits.train) + len(splits.validation) == 8
    assert caplog.messages.count(told) == 1
    put(folder, "extra/a/8.png")
    load()
    assert caplog.messages.count(told) == 2
    caplog.clear()
    for name, other in (("Test", "bus"), ("extra", "zoo")):
        (folder / name).rename(folder / other)
    load()  # a class may be called Train
    assert not any("small letters" in line for line in caplog.messages)


@catches(SUBJECT, "        if not classes:\n            return splits", "        return splits")
def test_beside_another_folder_of_images_splits_are_classes_and_the_log_says_so(folder, load, caplog):
    put(folder, *(f"{name}/{number}.png" for name in ("extra", "train", "val") for number in range(4)))
    splits = load()
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(12))
    assert "data: train and val are no splits but classes, as extra beside them is" in caplog.text
    (folder / "extra").rename(folder / ".extra")
    (folder / "notes").mkdir()
    (folder / "notes" / "notes.txt").write_text("no image")
    assert [len(images) for images in load()] == [4, 4]


@catches(
    SUBJECT, '.setdefault(split_of(name) or "", []).append(f"{root}{name}/")', '[split_of(name) or ""] = [name + "/"]'
)
def test_parts_of_a_split_are_joined(folder, load):
    put(folder, *(f"{name}/{number}.png" for name in ("train-2", "train_1", "val") for number in range(3)))
    splits = load()
    assert (numbers(splits.train), numbers(splits.validation)) == ([0, 1, 2, 3, 4, 5], [6, 7, 8])
    assert splits.train.class_names == ("all",)


@catches(SUBJECT, 'f"{root}{next(iter(folders))}/"', '""')
@catches(SUBJECT, "len(folders) == 1 and ", "len(folders) == 9 and ")
def test_splits_are_found_below_a_single_folder(folder, load):
    write_folder(folder / "set" / "train2017", 5)
    write_folder(folder / "set" / "val2017", 2)
    (folder / "README.txt").write_text("what this is\n")
    (folder / "annotations").mkdir()
    splits = load()
    assert (len(splits.train), len(splits.validation)) == (5, 2)


# classes


@catches(SUBJECT, 'split("/")[above:-1]', 'split("/")[:-1]')
def test_a_validation_folder_without_classes_is_not_used_beside_classes(folder, load, caplog):
    put(folder, *(f"train/{name}/{number}.png" for name in ("cats", "dogs") for number in range(4)), "val/8.png")
    splits = load()
    assert named(splits.train) | named(splits.validation) == dict.fromkeys(range(4), "cats") | dict.fromkeys(
        range(4, 8), "dogs"
    )
    assert "split val is not used, since none of its images has a label" in caplog.text


@catches(SUBJECT, 'split("/")[above:-1]', 'split("/")[:-1]')
def test_splits_are_no_classes(folder, load):
    put(folder, "train/0.png", "train/1.png", "val/2.png")
    assert [named(images) for images in load()] == [{0: "all", 1: "all"}, {2: "all"}]
    (folder / "val" / "2.png").unlink()
    put(folder, "val/a/0.png", "val/b/1.png")
    assert [images.class_names for images in load()] == [("all",), ("all",)]


@catches(SUBJECT, "for name in _classes(each)", 'for name in _classes(folders["train"])')
def test_a_class_may_be_in_the_validation_folder_alone(folder, load, caplog):
    put(folder, "train/cats/0.png", "train/dogs/1.png", "val/birds/2.png")
    splits = load()
    assert [named(images) for images in splits] == [{0: "cats", 1: "dogs"}, {2: "birds"}]
    assert "is not used" not in caplog.text


def told(caplog):
    """What the log says of folders and classes."""
    return [line for line in caplog.messages if "folders" in line]


@catches(SUBJECT, "if len(names) > 1 else {}", "if names else {}")
@catches(SUBJECT, "len(_names(shorter)) > 1", "len(_names(shorter)) > 0")
def test_one_folder_is_no_class_and_the_log_says_which(folder, load, caplog):
    put(folder, "train/pets/cats/0.png", "train/pets/cats/1.png", "val/pets/cats/2.png")
    assert load().train.class_names == ("all",)
    assert told(caplog) == ["data: folders tell no classes: all images lie in folders called 'cats'"]
    (folder / "val").rename(folder / ".val")
    assert load().train.class_names == ("all",)
    assert len(told(caplog)) == 1


@catches(SUBJECT, "if len(depths) == 1 and depths.pop() else []", "if max(depths) else []")
@catches(SUBJECT, "if len(depths) == 1 and depths.pop() else []", "if min(depths) else []")
@catches(SUBJECT, "        _tell_depths(images)\n", "        pass\n")
@catches(SUBJECT, 'first.count("/") != last.count("/")', "True")
def test_images_at_different_depths_tell_no_classes_and_the_log_names_two(folder, load, caplog):
    put(folder, "cats/0.png", "cats/1.png", "dogs/2.png")
    assert load().train.class_names == ("cats", "dogs")
    assert told(caplog) == []
    put(folder, "dogs/poodle/3.png")
    assert load().train.class_names == ("all",)
    (folder / "dogs" / "poodle").rename(folder / ".dogs")
    put(folder, "preview.png")
    assert load().train.class_names == ("all",)
    why = "data: folders tell no classes: images lie at different depths, such as"
    assert told(caplog) == [f"{why} cats/0.png and dogs/poodle/3.png", f"{why} preview.png and cats/0.png"]


@catches(SUBJECT, "if len(last) != 1 or len(_names(folders)) != 1:", "if True:")
@catches(SUBJECT, "        return shorter\n", "        return folders\n")
def test_folders_of_one_name_inside_those_of_classes_are_passed_over(folder, load, caplog):
    caplog.set_level("INFO")
    put(folder, *(f"train/{name}/images/{number}.png" for name in ("n01", "n02") for number in range(4)))
    put(folder, "val/images/8.png", "val/images/9.png")  # as Tiny ImageNet is unpacked
    splits = load()
    assert named(splits.train) | named(splits.validation) == dict.fromkeys(range(4), "n01") | dict.fromkeys(
        range(4, 8), "n02"
    )
    assert told(caplog) == ["data: classes are the folders above those called 'images', in which all images lie"]
    assert "split val is not used, since none of its images has a label" in caplog.text
    put(folder, "train/10.png")
    assert load().train.class_names == ("all",)


@catches(SUBJECT, "        _tell_joined(folders)\n", "        pass\n")
@catches(SUBJECT, "found.setdefault(inside[-1], place) != place", "found.setdefault(inside[-1], place)")
def test_folders_of_one_name_are_one_class_and_the_log_names_two(folder, load, caplog):
    put(folder, *(f"{split}/day/{name}/0.png" for split in ("train", "val") for name in ("cars", "vans")))
    assert load().train.class_names == ("cars", "vans")
    assert told(caplog) == []
    put(folder, "train/night/cars/1.png")
    assert load().train.class_names == ("cars", "vans")
    assert told(caplog) == ["data: folders of one name are one class, such as day/cars and night/cars"]


# paths and other files


def test_a_path_may_have_brackets(folder, load):
    write_folder(folder / "[1]" / "train[x]", 6)
    write_folder(folder / "[1]" / "val[*]?", 2)
    splits = load()
    assert (numbers(splits.train), numbers(splits.validation)) == ([0, 2, 4, 1, 3, 5], [0, 1])


@catches(SUBJECT, 'if "/__" not in f"/{os.path.dirname(path)}"', "")
def test_links_are_followed_once_and_what_is_hidden_is_not_read(folder, tmp_path):
    put(folder, "cats/0.png", "__all.png", "cats/.1.png", ".dogs/2.png", "__dogs__/3.png")
    put(tmp_path / "elsewhere", "7.png")
    (folder / "birds").symlink_to(tmp_path / "elsewhere")
    (folder / "aliens").symlink_to(folder / "cats")
    (folder / "cats" / "loop").symlink_to(folder)
    assert sorted(shown_files(folder)) == ["__all.png", "birds/7.png", "cats/0.png"]
    before = signature(str(folder))
    later = time.time_ns() + 10**12
    os.utime(tmp_path / "elsewhere" / "7.png", ns=(later, later))
    assert signature(str(folder)) != before


@catches(SUBJECT, "if not path.startswith(inside)]", "]")
@catches(SUBJECT, 'f"{run}/" for run in runs', "run for run in runs")
@catches(SUBJECT, "    if runs:\n", "    if not runs:\n")
def test_folders_of_runs_are_not_read_and_the_log_says_so(folder, load, caplog):
    caplog.set_level("INFO")
    put(folder, *(f"{name}/{number}.png" for name in ("ants", "cats", "dogs") for number in range(4)))
    before = load()
    assert "folders of runs" not in caplog.text
    for name in ("runs/b", "runs/a", "an"):  # a class begins as the last one does
        mark_run(folder / name, "toy")
        put(folder, f"{name}/pictures/8.png", f"{name}/aside/2026-01-01-000000/pictures/9.png")
    state = signature(str(folder))
    after = load()
    assert caplog.messages.count("data: folders of runs, whose pictures are not read: 3, such as an") == 1
    assert after.train.class_names == before.train.class_names == ("ants", "cats", "dogs")
    assert after.checksum == before.checksum
    put(folder, "runs/a/pictures/10.png")
    assert signature(str(folder)) == state  # while a run grows its images are not read again


@catches(SUBJECT, 'path.endswith(f"/{MARK}")', "path.endswith(MARK)")
def test_a_folder_that_is_itself_a_runs_is_read(folder, caplog):
    caplog.set_level("INFO")
    mark_run(folder, "toy")
    put(folder, "pictures/0.png", "pictures/1.png")
    assert contents(folder).images == ["pictures/0.png", "pictures/1.png"]
    assert caplog.messages == []


@catches(SUBJECT, "endings.difference(_NO_PIXELS)", "endings")
@catches(SUBJECT, " if kind in Image.OPEN", "")
@catches(SUBJECT, "os.path.splitext(path)[1].lower()", "os.path.splitext(path)[1]")
def test_an_image_is_told_by_its_ending(folder):
    put(
        folder,
        "a/0.PNG",
        "b/1.webp",
        "paper.pdf",
        "features.h5",
        "notes.txt",
        "png",
        "c/train-0/2.jpeg",
        "c/train/3.png",
    )
    assert contents(folder).images == ["a/0.PNG", "b/1.webp", "c/train-0/2.jpeg", "c/train/3.png"]


@catches(SUBJECT, 'if path.encode(errors="ignore").decode() != path:', "if False:")
@catches(SUBJECT, "[path] if ending in kinds else []", "[path]")
@catches(SUBJECT, "    if left_out:\n", "    if not left_out:\n")
def test_files_whose_names_are_no_utf8_are_left_out_in_one_line(folder, load, caplog):
    put(folder, "cats/caf\u00e9.png", "dogs/1.png")
    whole = contents(folder)
    assert caplog.messages == []
    for name in (b"cats/caf\xe9.png", b"dogs/caf\xe9/3.png", b"dogs/caf\xe9.txt", b"dogs/caf\xe9/metadata.csv"):
        put(folder, os.fsdecode(name))
    assert contents(folder) == whole == (["cats/caf\u00e9.png", "dogs/1.png"], [], [], [])
    told = r"data: files whose names are no UTF-8 are left out: 2, such as b'cats/caf\xe9.png'"
    assert caplog.messages == [told]
    splits = load()
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == [0, 1]
    assert caplog.messages.count(told) == 2  # once for each time that the folder is gone through


@catches(SUBJECT, "if found.images and archives:", "if False:")
@pytest.mark.parametrize("name", ["train.tar", "below/shards-0.parquet"])
def test_images_and_archives_are_one_line_that_names_both(folder, load, name):
    put(folder, "cats/0.png", "dogs/1.png")
    put(folder, name, content=b"whatever")
    with pytest.raises(
        ValueError, match=rf"\Adata '[^\n]*: expected images or archives, got both: cats/0.png and {name}; "
    ):
        load()
    (folder / name).rename((folder / name).with_name(".hidden.tar"))
    assert sum(map(len, load())) == 2


# metadata files


def write_metadata(folder, kind, names):
    rows = [{"file_name": name, "label": number % 2} for number, name in enumerate(names)]
    path = folder / f"metadata.{kind}"
    if kind == "csv":
        path.write_text("file_name,label\n" + "".join(f"{row['file_name']},{row['label']}\n" for row in rows))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)


@catches(SUBJECT, "if found.metadata and len(_names(folders)) < 2:", "if found.metadata:")
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_folders_of_classes_count_and_a_metadata_file_does_not(folder, load, caplog, kind):
    put(folder, "cats/0.png", "cats/1.png", "dogs/2.png", "dogs/3.png")
    write_metadata(folder, kind, ["cats/0.png", "dogs/2.png"])
    splits = load()
    assert named(splits.train) | named(splits.validation) == {0: "cats", 1: "cats", 2: "dogs", 3: "dogs"}
    assert f"data: metadata.{kind} is not used: the classes of images are the folders they lie in" in caplog.text


@catches(SUBJECT, " if path not in found.metadata]", "]")
def test_a_metadata_file_of_parquet_is_data_where_there_are_no_images(folder):
    put(folder, "0.png")
    write_metadata(folder, "parquet", ["0.png"])
    assert contents(folder) == (["0.png"], ["metadata.parquet"], [], ["metadata.parquet"])


@catches(SUBJECT, "if found.metadata and len(_names(folders)) < 2:", "if False:")
@catches(SUBJECT, "glob.escape(str(folder / each))", "str(folder / each)")
@catches(SUBJECT, '    if len(places) == 1:\n        places = {"train": [""]}\n', "")
def test_without_folders_of_classes_a_metadata_file_has_the_labels(folder, load):
    names = [f"images/{number}.png" for number in range(6)]
    put(folder, *names)
    write_metadata(folder, "csv", names)
    splits = load()
    found = named(splits.train) | named(splits.validation)
    assert found == {number: str(number % 2) for number in range(6)}


@catches(SUBJECT, "drop_labels=True, ", "")
def test_a_metadata_file_of_each_split_is_read_and_one_above_them_makes_no_classes_of_them(folder, load):
    put(folder, "train/0.png", "train/1.png", "val/2.png", "val/3.png")
    write_metadata(folder, "csv", ["train/0.png"])
    assert [named(images) for images in load()] == [{0: "all", 1: "all"}, {2: "all", 3: "all"}]
    write_metadata(folder / "train", "csv", ["0.png", "1.png"])
    write_metadata(folder / "val", "csv", ["2.png", "3.png"])
    assert [named(images) for images in load()] == [{0: "0", 1: "1"}, {2: "0", 3: "1"}]
