"""Arrays and data sets as sources: 8-bit batches, names, and a record of all that images go through."""

import pytest
import torch

from _support.mutants import catches
from _support.pretended_mps import on_mps
from vistok.metrics import from_uint8
from vistok.metrics.images.arrays import ArrayImages
from vistok.metrics.images.crops import Crop

SUBJECT = "vistok.metrics.images.arrays"
WHOLE = Crop("none", None)
PIXELS = torch.randint(0, 256, (5, 3, 12, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def images(pixels=PIXELS, crop=WHOLE, **options):
    options.setdefault("description", lambda: {"source": "test"})
    return ArrayImages(lambda at: pixels[at], len(pixels), crop, **options)


@catches(SUBJECT, "to_uint8(images)", "images")
def test_a_batch_is_of_8_bit_pixels_whatever_is_read():
    for source in (images(), images(from_uint8(PIXELS))):
        assert torch.equal(source.batch(torch.tensor([4, 0])), PIXELS[[4, 0]])
        assert (len(source), source.shape) == (5, (3, 12, 16))


@catches(SUBJECT, "self.crop.pixels(to_uint8(images).cpu())", "to_uint8(images).cpu()")
def test_batches_go_through_the_crop():
    crop = Crop("adm", 8)
    assert torch.equal(images(crop=crop).batch([1, 2]), crop.pixels(PIXELS[1:3]))
    assert images(crop=crop).shape == (3, 8, 8)


@catches(SUBJECT, "to_uint8(images).cpu()", "to_uint8(images)")
def test_batches_are_on_the_cpu_wherever_images_are():
    batch = images(on_mps(PIXELS)).batch([4, 0])
    assert type(batch) is torch.Tensor
    assert torch.equal(batch, PIXELS[[4, 0]])


@catches(SUBJECT, "self.named = names is not None", "self.named = True")
def test_names_are_positions_unless_there_are_some():
    assert (images().names, images().named) == (["0", "1", "2", "3", "4"], False)
    own = images(names=["a", "b", "c", "d", "e"], classes=["x"] * 5)
    assert (own.names[1], own.classes[0], own.named) == ("b", "x", True)


@catches(SUBJECT, '", then ".join(parts) or "none"', "own[key]")
def test_a_crop_of_cropped_images_is_written_down_after_the_first_one():
    first = images(crop=Crop("adm", 8))
    again = ArrayImages(first.batch, 5, Crop("centre", 4), description=first.describe)
    as_it_is = ArrayImages(first.batch, 5, WHOLE, description=first.describe)
    assert as_it_is.describe() == first.describe()
    assert first.describe()["crop"] == "ADM centre crop"
    assert again.describe()["crop"] == "ADM centre crop, then shorter side resized, then centre crop"
    assert (again.describe()["size"], again.describe()["source"]) == ("4 x 4", "test")
    assert images().describe()["crop"] == "none"


@catches(SUBJECT, "images.shape[1] not in (1, 3)", "images.shape[1] > 3")
def test_what_is_no_batch_of_images_is_one_line():
    with pytest.raises(ValueError, match=r"^images must hold at least one image, got none$"):
        images(PIXELS[:0])
    for wrong in (PIXELS[:, :2], PIXELS[:, 0]):
        with pytest.raises(ValueError, match=r"^images must be \(B, 1 or 3, H, W\), got \(1, .*\)$"):
            images(wrong)


@catches(SUBJECT, "if images.shape[1:] != self.shape:", "if False:")
def test_images_of_another_size_than_the_first_are_refused_unless_a_crop_brings_them_to_one():
    def read(indices):
        return PIXELS[indices] if 4 not in indices else PIXELS[indices, :, :, :12]

    sized = ArrayImages(read, 5, WHOLE, description=dict)
    assert sized.batch([0, 1, 2]).shape == (3, 3, 12, 16)
    line = r"^images: expected \(3, 12, 16\) as the first one, got \(3, 12, 12\); give a crop and an image_size$"
    with pytest.raises(ValueError, match=line):
        sized.batch([3, 4])
    assert ArrayImages(read, 5, Crop("adm", 8), description=dict).batch([4]).shape == (1, 3, 8, 8)
