"""Whether a batch fits a tokenizer, and which sides would."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.data.image_check import check_images, check_values

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


@catches(SUBJECT, "if not images.is_floating_point():", "if False:")
def test_integers_are_told_to_be_no_floats():
    with pytest.raises(TypeError, match=r"^images: expected floats in \[-1, 1\], got torch.uint8$"):
        check_images(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), channels=3, stride=4)


@catches(SUBJECT, "bool(largest <= LARGEST", "not bool(largest > LARGEST")
@catches(SUBJECT, "images.detach().abs().max()", "images.detach().max()")
def test_values_that_cannot_be_meant_are_told():
    for value, got in ((255.0, "255"), (-255.0, "255"), (float("nan"), "nan"), (float("inf"), "inf")):
        images = torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16 if got == "255" else torch.float32)
        images[0, 0, 0, 0] = value
        with pytest.raises(ValueError, match=rf"^images: expected values in \[-1, 1\], got up to {got}$"):
            check_values(images)


@catches(SUBJECT, " or images.is_meta", "")
@catches(SUBJECT, " or not images.numel()", "")
@catches(SUBJECT, " or torch.compiler.is_compiling()", "")
@catches(SUBJECT, "not images.is_floating_point() or images.is_meta", "images.is_meta")
def test_a_little_overshoot_and_what_has_no_values_pass(monkeypatch):
    check_values(torch.full((1, 3, 8, 8), 1.5))
    check_values(torch.empty(1, 3, 8, 8, device="meta"))
    check_values(torch.empty(0, 3, 8, 8))
    check_values(torch.full((1, 3, 8, 8), 255, dtype=torch.uint8))
    monkeypatch.setattr("torch.compiler.is_compiling", lambda: True)
    check_values(torch.full((1, 3, 8, 8), 255.0))
