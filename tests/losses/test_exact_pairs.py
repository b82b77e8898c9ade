"""The log sums of all pairs, each pair evaluated at each bin."""

from functools import cache

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import pair_log_sums64, unit64
from _support.mutants import catches
from _support.strategies import normal
from vistok.losses._exact_pairs import ExactLogSums, pair_blocks

SUBJECT = "vistok.losses._exact_pairs"
CENTRES, WEIGHTS = torch.linspace(-1, 1, 5), normal(9, 5)


@cache
def in_float64(n, diagonal):
    """The log sums of some codes and the gradient of their weighted sum."""
    codes = normal(n, n, 4).double().requires_grad_()
    log_sums = pair_log_sums64(codes, CENTRES, 10.0, diagonal)
    (log_sums * WEIGHTS).sum().backward()
    return log_sums.detach(), codes.grad


@catches(SUBJECT, "ones.tril(-1 if include_diagonal else 0)", "ones.tril(0)")
@catches(SUBJECT, "ones.tril(-1 if include_diagonal else 0)", "ones.tril(-1)")
@catches(SUBJECT, "log_sums = torch.logaddexp(log_sums, torch.stack(sums))", "log_sums = torch.stack(sums)")
@catches(SUBJECT, "gradient[columns] += slope.T @ unit[rows]", "pass")
@catches(SUBJECT, "-2.0 * alpha * weight", "2.0 * alpha * weight")
def test_values_and_gradients_are_those_of_float64():
    """From one block of pairs to many; the gradient is that of the codes, through their directions."""
    for n in (2, 20, 600):
        for diagonal in (False, True):
            wanted, gradient = in_float64(n, diagonal)
            codes = normal(n, n, 4).requires_grad_()
            got = ExactLogSums.apply(codes / codes.norm(dim=1, keepdim=True), CENTRES, 10.0, diagonal)
            (got * WEIGHTS).sum().backward()
            torch.testing.assert_close(got.double(), wanted, atol=1e-5, rtol=1e-5)
            assert (codes.grad - gradient).norm() < 1e-4 * gradient.norm()


@catches(SUBJECT, "sub_(log_sum)", "sub_(0.0 * log_sum)")
def test_gradcheck():
    codes = normal(0, 6, 3).double().requires_grad_()
    for diagonal in (False, True):
        assert torch.autograd.gradcheck(
            lambda x, diagonal=diagonal: ExactLogSums.apply(unit64(x), CENTRES.double(), 8.0, diagonal), (codes,)
        )


@catches(SUBJECT, "(similarity - centre).square_()", "(similarity - centre).abs_()")
def test_by_hand():
    """One pair at a right angle and one pair of opposed codes, at bins -1 and 0.5 and alpha 2."""
    unit = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    centres = torch.tensor([-1.0, 0.5])
    assert ExactLogSums.apply(unit, centres, 2.0, False).tolist() == [-2.0, -0.5]
    opposed = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert ExactLogSums.apply(opposed, centres, 2.0, False).tolist() == [0.0, -4.5]


@catches(SUBJECT, "range(rows.stop, n, side)", "range(start, n, side)")
@catches(SUBJECT, "max(1, int(block_elements**0.5))", "block_elements")
def test_blocks_hold_each_pair_once_and_never_more_than_they_may():
    for n, elements in ((7, 4), (7, 49), (13, 25), (1, 1), (5, 1)):
        seen = torch.zeros(n, n, dtype=torch.long)
        for rows, columns in pair_blocks(n, elements):
            seen[rows, columns] += 1
            if rows != columns:
                seen[columns, rows] += 1
            assert (rows.stop - rows.start) * (columns.stop - columns.start) <= elements
        assert (seen == 1).all()


@given(st.integers(1, 30), st.integers(1, 900))
def test_any_number_of_rows_is_cut_into_blocks_of_any_size(n, elements):
    seen = torch.zeros(n, n, dtype=torch.long)
    for rows, columns in pair_blocks(n, elements):
        seen[rows, columns] += 1
        assert rows == columns or rows.stop <= columns.start
        assert (rows.stop - rows.start) * (columns.stop - columns.start) <= elements
    assert (seen.triu() == torch.ones_like(seen).triu()).all()
