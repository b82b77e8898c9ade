"""How a grid is cut into cells, and what a cell sees."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.small_generators import small_xar
from vistok.generators import block_causal_mask, cell_permutation

SUBJECT = "vistok.generators.layers.cells"
SMALL = st.integers(1, 4)


@given(SMALL, SMALL, SMALL, SMALL, st.sampled_from(["block", "interleaved"]))
def test_cells_are_a_permutation_of_the_grid(down, across, rows, columns, order):
    grid, cell = (down * rows, across * columns), (rows, columns)
    permutation = cell_permutation(grid, cell, order=order)
    assert permutation.sort().values.tolist() == list(range(grid[0] * grid[1]))
    rows_of_cells = (permutation // grid[1]).reshape(-1, rows * columns)
    spread = rows_of_cells.max(-1).values - rows_of_cells.min(-1).values
    assert (spread == (rows - 1) * (1 if order == "block" else down)).all()


@catches(SUBJECT, "permute(0, 2, 1, 3)", "permute(2, 0, 1, 3)")
@catches(SUBJECT, "permute(1, 3, 0, 2)", "permute(3, 1, 0, 2)")
def test_by_hand_cells_and_their_tokens_are_in_row_major_order():
    assert cell_permutation((2, 4), (1, 2)).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert cell_permutation((4, 2), (2, 1)).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert cell_permutation((2, 4), (1, 2), order="interleaved").tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@catches(SUBJECT, "cell[:, None] >= cell[None, :]", "cell[:, None] > cell[None, :]")
@catches(SUBJECT, "// cell_tokens\n", "\n")
def test_by_hand_a_token_sees_its_own_cell_and_those_before():
    mask = block_causal_mask(2, 2)
    assert mask.int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]


@catches(SUBJECT, "permute(0, 2, 1, 3)", "permute(2, 0, 1, 3)")
def test_cells_go_there_and_back():
    for order in ("block", "interleaved"):
        model = small_xar(order=order)
        x = torch.randn(2, 3, 4, 8)
        assert torch.equal(model.from_cells(model.to_cells(x)), x)
    x = torch.arange(32.0).reshape(1, 1, 4, 8).expand(1, 3, 4, 8)
    assert small_xar().to_cells(x)[0, 1, :, 0].tolist() == [4, 5, 6, 7, 12, 13, 14, 15]
