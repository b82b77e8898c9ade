"""The only module that talks to other ranks."""

import torch
from hypothesis import given

from _support.gloo import join_group, run_on_two_ranks
from _support.mutants import catches
from _support.strategies import tensors
from vistok.quantizers._collectives import rows_of_all_ranks, sum_over_ranks, value_of_first_rank, world_size

SUBJECT = "vistok.quantizers._collectives"


def everything(rank):
    before = world_size()
    join_group()
    x = torch.full((2,), float(rank + 1))
    rows = torch.arange(3.0 * (rank + 1)).view(-1, 3) + 100 * rank
    total, all_rows = sum_over_ranks(x), rows_of_all_ranks(rows)
    return before, world_size(), x, total, all_rows, value_of_first_rank(torch.tensor([7.0 + rank]))


@catches(SUBJECT, "total = x.clone()", "total = x")
@catches(
    SUBJECT,
    "for part, size in zip(gathered, sizes, strict=True)",
    "for part, size in zip(gathered[::-1], sizes[::-1], strict=True)",
)
@catches(SUBJECT, "part[:size]", "part")
@catches(SUBJECT, "dist.broadcast(x, src=0)", "pass")
@catches(SUBJECT, "def world_size() -> int:", "from functools import cache\n\n\n@cache\ndef world_size() -> int:")
def test_by_hand_sums_rows_and_the_first_ranks_value_are_the_same_on_both_ranks():
    """Ranks hold 1 and 2, one row and two rows, 7 and 8; the group is there only after the first question."""
    for rank, (before, now, x, total, rows, value) in enumerate(run_on_two_ranks(everything, grouped=False)):
        assert (before, now) == (1, 2)
        assert x.tolist() == [rank + 1.0] * 2
        assert total.tolist() == [3.0, 3.0]
        assert rows.tolist() == [[0.0, 1.0, 2.0], [100.0, 101.0, 102.0], [103.0, 104.0, 105.0]]
        assert value.tolist() == [7.0]


@given(tensors((3, 2)))
def test_without_a_process_group_everything_is_what_it_was(x):
    assert world_size() == 1
    for collective in (sum_over_ranks, rows_of_all_ranks, value_of_first_rank):
        assert collective(x) is x
