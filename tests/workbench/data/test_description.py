"""What a source holds, told from tables and headers, is what loading it gives."""

import pytest

from _support.image_files import png, write_folder, write_table
from _support.mutants import catches
from vistok.workbench.data import describe_source, load_images

SUBJECT = "vistok.workbench.data.description"


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


@catches(SUBJECT, "min(image_shape(train.source(row)))", "max(image_shape(train.source(row)))")
def test_a_description_tells_the_usual_shorter_side_from_headers_alone(tmp_path, monkeypatch):
    from vistok.workbench.data import resize

    contents = [png(0, size=(50, 20))] * 3 + [png(0, size=(30, 90))] * 4 + [png(0, size=(200, 400))] * 2
    source = write_table(tmp_path / "one.parquet", contents, {"cls": [0, 1, 2] * 3})
    monkeypatch.setattr(resize, "open_image", None)
    found = describe_source(source, cache_dir=tmp_path / "cache")
    assert (found.num_images, found.num_classes, found.image_size) == (9, 3, 30)
    assert describe_source(source, label_column="none", cache_dir=tmp_path / "cache").num_classes == 1


def test_a_description_of_nothing_readable_is_an_error(tmp_path):
    write_folder(tmp_path / "data", 3)
    for file in (tmp_path / "data").rglob("*.png"):
        file.write_bytes(b"no image")
    with pytest.raises(ValueError, match="has no readable image"):
        describe_source(tmp_path / "data", cache_dir=tmp_path / "cache")
