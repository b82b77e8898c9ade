"""Distances between two sets of vectors, a tile at a time."""

import numpy as np
import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.metrics import NotMeasurableError
from vistok.metrics.distribution._vectors import centre_and_spread, check_sides, tiles

SUBJECT = "vistok.metrics.distribution._vectors"


@catches(SUBJECT, "lengths + other.square().sum(dim=1) - 2 * part @ other.T", "lengths - part @ other.T")
@catches(SUBJECT, "min(start + block_size, count)", "min(start + block_size, count - 1)")
def test_tiles_are_all_squared_distances_once():
    x, y = normal(0, 11, 4), normal(1, 8, 4) + 3
    wanted = ((x.double().numpy()[:, None] - y.double().numpy()) ** 2).sum(2)
    centre, _ = centre_and_spread(x, 4)
    for block_size in (1, 4, 100):
        found = torch.full((11, 8), torch.nan, dtype=torch.float64)
        for rows, columns, squares in tiles(x, y, centre, block_size):
            assert torch.isnan(found[rows, columns]).all()
            found[rows, columns] = squares
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)


@catches(SUBJECT, "part = x[rows].double() - centre", "part = x[rows].double()")
def test_far_from_zero_nothing_is_lost():
    x = normal(0, 6, 3).double() + 1e7
    ((_, _, squares),) = tiles(x, x, centre_and_spread(x, 10)[0], 10)
    np.testing.assert_allclose(squares.numpy(), torch.cdist(x, x).square().numpy(), atol=1e-8)


@catches(SUBJECT, "squares / len(vectors)", "squares")
@catches(SUBJECT, "for block in blocks]).sum(dim=0) / len(vectors)", "for block in blocks]).mean(dim=0)")
def test_centre_and_spread_are_mean_and_variance():
    """Corners of a square of side 2 about (5, 5): each is at squared distance 2."""
    corners = torch.tensor([[4.0, 4.0], [4.0, 6.0], [6.0, 4.0], [6.0, 6.0]])
    for block_size in (1, 3, 9):
        centre, spread = centre_and_spread(corners, block_size)
        assert centre.tolist() == [5.0, 5.0]
        assert spread == 2.0


@catches(SUBJECT, "if len(side) < need:", "if len(real) < need:")
@catches(SUBJECT, "real.shape[1] != samples.shape[1]", "False")
def test_sides_are_checked():
    x = torch.zeros(3, 2)
    check_sides(x, x[:1], 3, 1, 1)
    with pytest.raises(NotMeasurableError, match="samples must hold at least 2 feature vectors, got 1"):
        check_sides(x, x[:1], 3, 2, 1)
    for real, samples, block_size in ((x, torch.zeros(3, 4), 1), (x[0], x, 1), (x, x / 0, 1), (x, x, 0)):
        with pytest.raises(ValueError, match=r"\(N, D\) and \(M, D\)|finite|block_size"):
            check_sides(real, samples, 1, 1, block_size)
