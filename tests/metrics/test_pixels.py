"""8-bit pixels and the value range that networks see."""

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import from_uint8, to_uint8

SUBJECT = "vistok.metrics.pixels"


@catches(SUBJECT, ".round().clamp(0, 255)", ".clamp(0, 255)")
@catches(SUBJECT, "div_(127.5)", "div_(128.0)")
def test_8_bit_values_survive_the_round_trip():
    pixels = torch.arange(256, dtype=torch.uint8)
    images = from_uint8(pixels)
    assert images.min() == -1
    assert images.max() == 1
    assert torch.equal(to_uint8(images), pixels)
    assert torch.equal(to_uint8(pixels), pixels)


@catches(SUBJECT, ".clamp(0, 255)", "")
def test_what_overshoots_the_range_is_clipped():
    assert to_uint8(torch.tensor([-1.3, 1.01, 3.0])).tolist() == [0, 255, 255]


@catches(SUBJECT, "not bool((images.abs() <= LARGEST_PLAUSIBLE_VALUE).all())", "bool((images.abs() > 16.0).any())")
@catches(SUBJECT, "images.abs() <= LARGEST_PLAUSIBLE_VALUE", "images <= LARGEST_PLAUSIBLE_VALUE")
def test_values_that_cannot_be_meant_are_errors():
    for images in (torch.tensor([255.0]), torch.tensor([float("nan")]), torch.tensor([float("-inf")])):
        with pytest.raises(ValueError, match=r"\[-1, 1\]"):
            to_uint8(images)
    with pytest.raises(TypeError, match="int64"):
        to_uint8(torch.tensor([1]))


@catches(SUBJECT, "if pixels.dtype != torch.uint8:", "if pixels.is_complex():")
def test_pixels_that_are_not_8_bit_are_refused_and_left_as_they_are():
    for dtype in (torch.float32, torch.float64, torch.int64):
        pixels = torch.arange(3, dtype=dtype)
        with pytest.raises(TypeError, match=f"^pixels: expected uint8, got {dtype}$"):
            from_uint8(pixels)
        assert pixels.tolist() == [0, 1, 2]
