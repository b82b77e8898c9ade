"""A folder of images: which files, in which order, of which class; one size or one line."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from _support.image_files import png, unlisted
from _support.mutants import catches
from vistok.metrics import adm_crop, evaluate_pairs
from vistok.metrics.images.crops import Crop
from vistok.metrics.images.folder import ImageFolder

SUBJECT = "vistok.metrics.images.folder"
WHOLE = Crop("none", None)


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@catches(SUBJECT, "sorted(_image_files(root))", "_image_files(root)[::-1]")
@catches(SUBJECT, '"/" in name]', "True]")
@catches(SUBJECT, 'for name in below if not name.startswith(".")', "for name in below")
@catches(SUBJECT, 'for name in names if not name.startswith(".")]', "for name in names]")
def test_images_come_in_the_order_of_their_paths_with_the_class_of_the_first_level(tmp_path):
    names = ["cat/b/2.JPG", "cat/10.png", "ant/9.png", "cat/2.png"]
    write(tmp_path, {name: png((len(name), 0, 0)) for name in names})
    write(tmp_path, {"notes.txt": b"no image", ".hidden.png": b"", "cat/._2.png": b"", ".cache/1.png": b""})
    images = ImageFolder(tmp_path, WHOLE)
    assert images.names == ["ant/9.png", "cat/10.png", "cat/2.png", "cat/b/2.JPG"]
    assert images.classes == ["ant", "cat", "cat", "cat"]
    assert (len(images), images.shape, images.named) == (4, (3, 8, 8), True)
    assert images.batch([3, 0])[:, 0, 0, 0].tolist() == [len("cat/b/2.JPG"), len("ant/9.png")]
    write(tmp_path, {"top.png": png(0)})
    assert ImageFolder(tmp_path, WHOLE).classes is None


@catches(SUBJECT, "starts += [path", "[path")
def test_linked_class_folders_are_entered(tmp_path):
    write(tmp_path, {"elsewhere/1.png": png(0)})
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "elsewhere")
    assert ImageFolder(tmp_path / "set", WHOLE).names == ["cat/1.png"]


@catches(SUBJECT, "in seen:", "in ():")
def test_a_folder_with_two_links_is_read_under_the_first(tmp_path):
    write(tmp_path, {"set/dog/1.png": png(0), "else/2.png": png(0)})
    for link in ("ant", "cat"):
        (tmp_path / "set" / link).symlink_to(tmp_path / "else")
    assert ImageFolder(tmp_path / "set", WHOLE).names == ["ant/2.png", "dog/1.png"]


def test_each_real_folder_is_read_once_and_under_its_own_path_where_it_has_one(tmp_path):
    write(tmp_path, {"set/dog/1.png": png(0), "set/dog/b/2.png": png(0), "else/where/3.png": png(0)})
    root = tmp_path / "set"
    for link, target in (
        ("dog/up", root),  # a link back
        ("ant", root / "dog"),  # before the folder that it is of
        ("cat", tmp_path / "else"),
        ("cow", tmp_path / "else" / "where"),
        ("zoo", tmp_path),  # above the folder itself
    ):
        (root / link).symlink_to(target)
    (tmp_path / "else" / "back").symlink_to(root)
    assert ImageFolder(root, WHOLE).names == ["cat/where/3.png", "dog/1.png", "dog/b/2.png"]


@catches(SUBJECT, "image_to_tensor(self.crop(open_image(path)))", "image_to_tensor(open_image(path))")
def test_images_of_many_sizes_go_through_the_crop(tmp_path):
    pixels = [np.random.default_rng(n).integers(0, 256, (20 + n, 30, 3), dtype=np.uint8) for n in range(3)]
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    batch = ImageFolder(tmp_path, Crop("adm", 8)).batch(torch.arange(3))
    expected = np.stack([np.asarray(adm_crop(Image.fromarray(image), 8)) for image in pixels])
    assert np.array_equal(batch.permute(0, 2, 3, 1), expected)
    assert ImageFolder(tmp_path, Crop("adm", 8)).batch([]).shape == (0, 3, 8, 8)


@catches(SUBJECT, "if tuple(image.shape) != self.shape:", "if image.shape[0] != self.shape[0]:")
def test_another_size_is_one_line_that_names_the_file(tmp_path):
    write(tmp_path, {"a.png": png(0), "b.png": png(0, size=(8, 9))})
    images = ImageFolder(tmp_path, WHOLE)
    with pytest.raises(ValueError, match=r"\A.*b\.png: another size than a\.png, 8 x 9 and 8 x 8; give a crop.*\Z"):
        images.batch([0, 1])


@catches(SUBJECT, 'raise ValueError(f"{path}: {error}") from error', "raise")
def test_a_file_that_is_no_image_is_one_line_that_names_it(tmp_path):
    write(tmp_path, {"a.png": png(0), "b.png": b"no image"})
    images = ImageFolder(tmp_path, WHOLE)
    with pytest.raises(ValueError, match=r"\A.*/b\.png: unreadable image: the file is no image of a known format\Z"):
        images.batch([0, 1])
    (tmp_path / "a.png").write_bytes(b"neither")
    with pytest.raises(ValueError, match=r"\A.*/a\.png: unreadable image"):
        ImageFolder(tmp_path, WHOLE)


@catches(SUBJECT, ", onerror=_unlisted", "")
def test_a_folder_that_cannot_be_listed_is_one_line_that_names_it(tmp_path, monkeypatch):
    """Its images would be missing, and nothing would say so."""
    write(tmp_path, {"ant/1.png": png(0), "cat/2.png": png(0)})
    unlisted(monkeypatch, tmp_path / "cat")
    with pytest.raises(ValueError, match=r"\A.*/cat: expected a folder that can be listed, got: Permission denied\Z"):
        ImageFolder(tmp_path, WHOLE)


@catches(SUBJECT, '== "lost+found"', '== "lost"')
def test_the_file_systems_own_folder_at_the_root_of_a_disk_is_passed_over(tmp_path, monkeypatch):
    write(tmp_path, {"ant/1.png": png(0), "lost+found/2.png": png(0)})
    unlisted(monkeypatch, tmp_path / "lost+found")
    assert ImageFolder(tmp_path, WHOLE).names == ["ant/1.png"]


def test_an_empty_folder_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"\A.*: the folder holds no images\Z"):
        ImageFolder(tmp_path, WHOLE)


@catches(SUBJECT, "{name} {os.path.getsize(self.root / name)}\\n", "{name}\\n")
def test_the_description_changes_with_names_sizes_and_crop_and_not_with_the_place(tmp_path):
    files = {"x/1.png": png(0), "x/2.JPG": png((1, 2, 3)), "y/3.png": png(0)}
    first = ImageFolder(write(tmp_path / "a" / "val", files), WHOLE)
    said = first.describe()
    assert {key: said[key] for key in said if key != "hash"} == {
        "source": "folder val",
        "files": "1 .jpg, 2 .png",
        "count": "3",
        "size": "8 x 8",
        "channels": "3",
        "crop": "none",
        "filter": "none",
    }
    assert ImageFolder(write(tmp_path / "b" / "val", files), WHOLE).describe() == said
    assert ImageFolder(tmp_path / "b" / "val", Crop("adm", 4)).describe()["hash"] == said["hash"]
    larger = write(tmp_path / "c" / "val", files | {"y/3.png": png(0) + b" "})
    renamed = write(tmp_path / "d" / "val", {name.replace("3", "4"): content for name, content in files.items()})
    for other in (larger, renamed):
        assert ImageFolder(other, WHOLE).describe()["hash"] != said["hash"]


@catches(SUBJECT, 'os.fsencode(f"{name} {os.path.getsize(self.root / name)}\\n")', 'f"{name}\\n".encode()')
@catches("vistok.metrics.harness.evaluation", 'encoding="utf-8", errors="backslashreplace"', 'encoding="utf-8"')
def test_a_name_that_is_no_utf_8_is_evaluated_and_written_out(tmp_path):
    for name, value in ((b"caf\xe9.png", 10), (b"a.png", 200)):
        write(tmp_path / "images", {os.fsdecode(name): png((value, 0, 0), size=(16, 16))})
    images = ImageFolder(tmp_path / "images", WHOLE)
    found = evaluate_pairs(images, images, folder=tmp_path / "out")
    assert found.measures["reconstruction"]["mean_absolute_error"] == 0
    assert "caf\\udce9.png" in (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
