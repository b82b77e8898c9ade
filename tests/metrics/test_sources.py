"""One call for every kind of source, and one line for what is none."""

import numpy as np
import pytest
import torch

from _support.image_files import write_folder
from _support.mutants import catches
from vistok.metrics import from_uint8, open_images
from vistok.metrics.images.crops import Crop
from vistok.metrics.images.folder import ImageFolder
from vistok.workbench.data import ImageSet

SUBJECT = "vistok.metrics.images.sources"
PIXELS = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def archive(tmp_path):
    np.savez(tmp_path / "a.npz", PIXELS.permute(0, 2, 3, 1).numpy(), np.array([3, 1, 3, 0, 0]))
    return tmp_path / "a.npz"


class Bare:
    """The least that a data set must have."""

    def __len__(self):
        return 5

    def batch(self, indices):
        return from_uint8(PIXELS[indices])


@catches(SUBJECT, "permute(0, 3, 1, 2)", "permute(0, 3, 2, 1)")
@catches(SUBJECT, "list(map(str, labels))", "list(map(str, sorted(labels)))")
def test_every_source_of_the_same_pixels_gives_them(archive):
    data = ImageSet(PIXELS, torch.zeros(5, dtype=torch.int64), ("all",), "five")
    for source in (archive, str(archive), PIXELS, from_uint8(PIXELS), Bare(), data, open_images(PIXELS)):
        images = open_images(source)
        batch = images.batch([4, 1, 1])
        assert (len(images), images.shape, batch.dtype) == (5, (3, 12, 12), torch.uint8)
        assert torch.equal(batch, PIXELS[[4, 1, 1]])
    assert open_images(archive).classes == ["3", "1", "3", "0", "0"]


def test_the_mapped_pixels_may_be_written_to_without_touching_the_file(archive):
    images = open_images(archive)
    images.batch([0]).zero_()
    assert torch.equal(images.batch([0]), PIXELS[:1])


def test_every_source_goes_through_the_crop_that_was_asked_for(archive, tmp_path):
    folder = write_folder(tmp_path / "set", 4)
    for source in (archive, PIXELS, Bare(), open_images(PIXELS), folder):
        whole, cropped = open_images(source), open_images(source, image_size=4, crop="adm")
        assert torch.equal(cropped.batch([2, 0]), Crop("adm", 4).pixels(whole.batch([2, 0])))
        assert cropped.describe()["crop"] == "ADM centre crop"
        assert cropped.describe().get("hash") == whole.describe().get("hash")


@catches(SUBJECT, 'if getattr(source, "named", True) else None', "if False else None")
def test_names_and_classes_of_a_folder_survive_being_opened_again(tmp_path):
    folder = open_images(write_folder(tmp_path / "set", 4))
    again = open_images(folder)
    assert isinstance(folder, ImageFolder)
    assert (again.names, again.classes, again.named) == (folder.names, folder.classes, True)
    assert again.describe() == folder.describe()
    assert open_images(open_images(PIXELS)).named is False


@catches(SUBJECT, "flatten().view(torch.uint8)", "flatten().view(torch.uint8)[:99]")
def test_the_record_identifies_what_was_read(archive, tmp_path):
    said = open_images(archive).describe()
    assert (said["source"], said["count"], said["size"]) == ("archive a.npz", "5", "12 x 12")
    changed = PIXELS.clone()
    changed[4, 2, 11, 11] ^= 1
    np.savez(tmp_path / "b.npz", changed.permute(0, 2, 3, 1).numpy())
    assert open_images(tmp_path / "b.npz").describe()["hash"] != said["hash"]
    assert open_images(PIXELS).describe()["hash"] != open_images(changed).describe()["hash"]
    assert open_images(PIXELS).describe() == open_images(PIXELS.clone()).describe()
    assert all(isinstance(value, str) for value in open_images(Bare()).describe().values())


@catches(SUBJECT, "if not path.is_file():", "if path.is_file() and not path.suffix:")
@catches(SUBJECT, "source.ndim != 4 or source.shape[1] not in (1, 3)", "source.ndim != 4")
def test_what_is_no_source_is_one_line(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    for source, error, words in (
        (tmp_path / "nowhere", ValueError, ".*/nowhere: there is no such folder or file"),
        (tmp_path / "nowhere.npz", ValueError, ".*/nowhere.npz: there is no such folder or file"),
        (tmp_path / "a.png", ValueError, ".*/a.png: images must be a folder or an .npz archive"),
        (PIXELS[0], ValueError, r"images must be \(N, 1 or 3, H, W\), got \(3, 12, 12\)"),
        (PIXELS[:, :2], ValueError, r"images must be \(N, 1 or 3, H, W\), got \(5, 2, 12, 12\)"),
        (PIXELS[:0], ValueError, "images must hold at least one image, got none"),
        ([1, 2], TypeError, "images must be a folder, an .npz archive, a tensor, or have .* batch, got list"),
    ):
        with pytest.raises(error, match=rf"\A{words}\Z"):
            open_images(source)
    with pytest.raises(ValueError, match="crop 'adm' needs an image_size"):
        open_images(PIXELS, crop="adm")
