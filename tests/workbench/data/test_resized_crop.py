"""The random-resized crop is torchvision's, its random numbers given."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.image_files import noise
from _support.mutants import catches
from vistok.workbench.data.resized_crop import NUMBERS, SCALE, resized_crop, resized_crop_box

SUBJECT = "vistok.workbench.data.resized_crop"
SCALES = st.sampled_from([SCALE, (0.5, 1.0), (0.9, 1.0), (1.0, 1.0)])


def torchvision_box(width, height, seed, scale):
    """What torchvision draws, and the numbers in [0, 1) that it drew, places at the middle of their part of it."""
    crop = pytest.importorskip("torchvision.transforms").RandomResizedCrop
    torch.manual_seed(seed)
    top, left, down, across = crop.get_params(torch.empty(3, height, width), scale, (3 / 4, 4 / 3))
    torch.manual_seed(seed)
    draw, tries = [], 0
    while tries < 10:
        area, shape = torch.rand(1).item(), torch.rand(1).item()
        draw, tries = [*draw, area, shape], tries + 1
        pixels = height * width * (scale[0] + (scale[1] - scale[0]) * area)
        ratio = math.exp(math.log(3 / 4) + (math.log(4 / 3) - math.log(3 / 4)) * shape)
        if math.sqrt(pixels * ratio) < width + 0.5 and math.sqrt(pixels / ratio) < height + 0.5:
            break
    draw += [0.5] * (NUMBERS - 2 - len(draw))
    row, column = (top + 0.5) / (height - down + 1), (left + 0.5) / (width - across + 1)
    return (left, top, across, down), [*draw, row, column]


@catches(SUBJECT, "pixels / ratio", "pixels * ratio")
@catches(SUBJECT, "tuple(map(math.log, _RATIO))", "tuple(math.log(0.5 * r) for r in _RATIO)")
@catches(SUBJECT, "row, column = draw[2", "column, row = draw[2")
@catches(SUBJECT, "round(height * _RATIO[1])", "round(height * _RATIO[0])")
@given(st.integers(8, 90), st.integers(8, 90), st.integers(0, 10_000), SCALES)
def test_the_part_is_the_one_that_torchvision_draws(torchvision_imports, width, height, seed, scale):
    expected, draw = torchvision_box(width, height, seed, scale)
    assert resized_crop_box(width, height, draw, scale) == expected


@catches(SUBJECT, "Image.Resampling.BILINEAR", "Image.Resampling.BICUBIC")
@given(st.integers(8, 60), st.integers(8, 60), st.lists(st.floats(0, 1, exclude_max=True), min_size=22, max_size=22))
def test_its_pixels_are_those_of_torchvision(torchvision_imports, width, height, draw):
    resize = pytest.importorskip("torchvision.transforms.functional").resized_crop
    image = noise(width, height)
    left, top, across, down = resized_crop_box(width, height, draw, SCALE)
    part = resize(image, top, left, down, across, [16, 16])
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    assert torch.equal(resized_crop(pixels, 16, draw), torch.from_numpy(np.array(part)).permute(2, 0, 1))


def test_where_no_try_fits_the_centre_is_shown_by_hand():
    whole = [0.999, 0.5] * 10 + [0.0, 0.0]  # nearly all of the area as a square: it fits into neither image
    assert resized_crop_box(100, 30, whole, (1.0, 1.0)) == (30, 0, 40, 30)
    assert resized_crop_box(30, 100, whole, (1.0, 1.0)) == (0, 30, 30, 40)


@catches(SUBJECT, "column * (width - across + 1)", "column * (width - across)")
def test_parts_reach_every_edge():
    draws = ([0.5, 0.5] * 10 + [edge, edge] for edge in (0.0, 0.999))
    first, last = (resized_crop_box(40, 40, draw, SCALE) for draw in draws)
    assert first[:2] == (0, 0)
    assert (last[0] + last[2], last[1] + last[3]) == (40, 40)
