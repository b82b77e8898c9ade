"""Ten-crop is torchvision's, at the sizes of the published caches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.tokens.variants import FLIPS, UNFLIPPED, ten_crop

SUBJECT = "vistok.workbench.tokens.variants"
ORDER = ["top left", "top right", "bottom left", "bottom right", "centre"]  # of torchvision


def test_flips_are_the_images_and_their_mirror_images():
    images = torch.arange(6.0).view(1, 1, 2, 3)
    assert [view(images)[0, 0, 0].tolist() for view in FLIPS.values()] == [[0, 1, 2], [2, 1, 0]]
    assert [view(images) is images for view in UNFLIPPED.values()] == [True]


@catches(SUBJECT, "return cut(images.flip(-1))", "return cut(images).flip(-1)")
@catches(SUBJECT, "round(m / 2)", "(m + 1) // 2")
@catches(SUBJECT, '"top right": (0, 1), "bottom left": (1, 0)', '"top right": (1, 0), "bottom left": (0, 1)')
@given(st.integers(1, 12), st.integers(0, 9))
def test_the_crops_are_those_of_torchvision(torchvision_imports, size, margin):
    published = pytest.importorskip("torchvision.transforms").TenCrop(size)
    larger = torch.arange(2 * 3 * (size + margin) ** 2).view(2, 3, size + margin, size + margin)
    cuts = ten_crop(size)
    names = [*ORDER, *(f"flipped, {name}" for name in ORDER)]
    assert set(cuts) == set(names)
    for name, expected in zip(names, published(larger), strict=True):
        assert torch.equal(cuts[name](larger), expected), name


def test_the_first_variant_is_the_centre():
    assert next(iter(ten_crop(3))) == "centre"
