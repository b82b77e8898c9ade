"""Grids: every image where it belongs, with its pixels as they are."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from _support.mutants import catches
from vistok.metrics.report import pictures
from vistok.metrics.report.pictures import image_grid, pair_grid

SUBJECT = "vistok.metrics.report.pictures"


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def flat(*values, channels=1, side=4):
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, channels, side, side)


@catches(
    SUBJECT,
    "y, x = top + index // columns * height, left + index % columns * width",
    "y, x = top + index % columns * height, left + index // columns * width",
)
def test_images_stand_in_rows_two_pixels_apart_on_white():
    grid = pixels(image_grid(flat(10, 20, 30), columns=2, scale=1))
    assert grid.shape == (10, 10, 3)
    assert [grid[0, 0, 0], grid[0, 6, 0], grid[6, 0, 0], grid[6, 6, 0]] == [10, 20, 30, 255]
    assert (grid[4:6] == 255).all()
    assert (grid[:, 4:6] == 255).all()


def test_floats_and_8_bits_give_the_same_picture():
    assert image_grid(flat(0, 255), columns=2) == image_grid(
        torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4), columns=2
    )


def test_colours_stay_in_their_channels():
    image = torch.stack([torch.full((4, 4), value, dtype=torch.uint8) for value in (1, 2, 3)])[None]
    assert pixels(image_grid(image, columns=1))[0, 0].tolist() == [1, 2, 3]


@catches(SUBJECT, "pixels.repeat(factor, axis=1).repeat(factor, axis=2)", "np.tile(pixels, (1, factor, factor, 1))")
def test_small_images_are_enlarged_by_whole_factors():
    image = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    large = pixels(image_grid(image, columns=1))
    assert large.shape == (64, 64, 3)
    assert np.array_equal(large[::16, ::16, 0], image[0, 0].numpy())
    assert pixels(image_grid(flat(1, side=100), columns=1)).shape == (100, 100, 3)


def test_labels_take_room_beside_the_images_and_leave_them_whole():
    labelled = pixels(image_grid(flat(10, 20), columns=2, row_labels=["row"], column_labels=["a", "b"], scale=8))
    plain = pixels(image_grid(flat(10, 20), columns=2, scale=8))
    top, left = (large - small for large, small in zip(labelled.shape[:2], plain.shape[:2], strict=True))
    assert top > 0
    assert left > 0
    assert np.array_equal(labelled[top:, left:], plain)
    assert labelled[:top].min() < 128
    assert labelled[:, :left].min() < 128


@catches(SUBJECT, "torch.stack(kinds, dim=1)", "torch.stack(kinds, dim=0)")
def test_pairs_stand_over_each_other():
    grid = pixels(pair_grid(flat(1, 2, 3), flat(11, 12, 13), columns=2))
    cells = grid[::66, -130::66, 0]
    assert cells[:, :2].tolist() == [[1, 2], [11, 12], [3, 255], [13, 255]]


def test_fewer_pairs_than_columns_make_one_short_row():
    narrow, wide = pair_grid(flat(1), flat(2), columns=8), pair_grid(flat(1), flat(2), columns=1)
    assert narrow == wide


def test_a_label_wider_than_its_column_is_cut_off_and_leaves_the_next_alone():
    alone, beside = (
        pixels(image_grid(flat(10, 20), columns=2, column_labels=[first, "b"], scale=32))
        for first in ("a", "a name of many words")
    )
    assert alone.shape == beside.shape
    assert (alone[:, alone.shape[1] // 2 :] == beside[:, alone.shape[1] // 2 :]).all()
    assert pictures._fitting("a name of many words", 64).endswith("…")
    assert pictures._fitting("a name", 64) == "a name"
    assert pictures._fitting("a name", 1) == "…"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: image_grid(torch.zeros(0, 1, 4, 4), columns=1), "N >= 1"),
        (lambda: image_grid(torch.zeros(1, 2, 4, 4), columns=1), "1 or 3"),
        (lambda: image_grid(flat(1), columns=0), "columns"),
        (lambda: image_grid(flat(1), columns=1, row_labels=["a", "b"]), "row_labels must hold 1"),
        (lambda: image_grid(flat(1), columns=1, column_labels=["a", "b"]), "column_labels must hold 1"),
        (lambda: pair_grid(flat(1), flat(1, 2)), "same shape"),
        (lambda: pair_grid(torch.zeros(0, 1, 4, 4), torch.zeros(0, 1, 4, 4)), "at least one image"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
