"""Which places are known while cells are filled in, and the strip of what they were decoded to."""

import torch

from _support.mutants import catches
from vistok.workbench.inspection.strips import generation_strip, raster_masks

SUBJECT = "vistok.workbench.inspection.strips"


@catches(SUBJECT, "row * (side // cell) + column", "column * (side // cell) + row")
@catches(SUBJECT, "row * (side // cell) + column", "row * side + column")
@catches(SUBJECT, "(side // cell) ** 2 + 1", "(side // cell) ** 2")
def test_cells_become_known_one_after_the_other_row_after_row():
    masks = raster_masks(6, 2)
    assert masks.sum((1, 2)).tolist() == [4 * known for known in range(10)]
    for state in range(9):
        row, column = divmod(state, 3)
        new = masks[state + 1] & ~masks[state]
        assert bool(new[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].all())


@catches(SUBJECT, "for state in states], dim=1)", "for state in states], dim=0)")
@catches(SUBJECT, "{share:.0%} of", "{1 - share:.0%} of")
def test_the_strip_has_a_row_a_sample_and_a_picture_a_state():
    states = [torch.full((2, 1, 4, 4), value) for value in (-1.0, 0.0, 1.0)]
    strip = generation_strip("far", ["cat", "dog"], states, [0.0, 0.5, 1.0])
    assert strip.images.shape == (1, 2, 3, 1, 4, 4)
    assert strip.images[0, 1, :, 0, 0, 0].tolist() == [0, 128, 255]
    assert (strip.rows, list(strip.values)) == (("cat", "dog"), [f"{n}% of the tokens" for n in (0, 50, 100)])
