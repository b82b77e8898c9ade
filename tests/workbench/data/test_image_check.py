"""Whether a batch fits a tokenizer, and which sides would."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.data.image_check import check_images

SUBJECT = "vistok.workbench.data.image_check"


@catches(SUBJECT, "height % stride or width % stride or", "height % stride or")
@catches(SUBJECT, "round(width / stride) * stride", "width // stride * stride")
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 9))
def test_sides_fit_or_the_nearest_that_do_are_told(height, width, stride):
    if height and width and not height % stride and not width % stride:
        check_images(torch.zeros(1, 3, height, width), channels=3, stride=stride)
        return
    with pytest.raises(ValueError, match=f"divisible by {stride}, got {height}x{width}; ") as caught:
        check_images(torch.zeros(1, 3, height, width), channels=3, stride=stride)
    fit = [int(side) for side in re.search(r"(\d+)x(\d+) would fit$", str(caught.value)).groups()]
    check_images(torch.zeros(1, 3, *fit), channels=3, stride=stride)
    for side, near in zip((height, width), fit, strict=True):
        assert near == stride or 2 * abs(near - side) <= stride


@catches(SUBJECT, "images.ndim != 4 or images.shape[1] != channels", "images.ndim != 4")
def test_another_shape_is_told_before_its_sides():
    for shape in ((3, 8, 8), (2, 1, 8, 8), (3,)):
        with pytest.raises(ValueError, match=r"^images: expected \(B, 3, H, W\), got \(" + str(shape)[1:-1]):
            check_images(torch.zeros(shape), channels=3, stride=4)
