import pytest
import torch
import torch.distributed as dist

from _support.gloo import join_group, run_on_two_ranks


def sum_of_ranks(rank: int, offset: torch.Tensor) -> torch.Tensor:
    total = offset + rank
    dist.all_reduce(total)
    return total


def joins_late(rank: int) -> tuple[bool, int]:
    before = dist.is_initialized()
    join_group()
    return before, dist.get_rank()


def fails_on_rank_one(rank: int) -> None:
    if rank == 1:
        raise ValueError("broken here")


def test_both_ranks_run_and_answer_in_order():
    assert run_on_two_ranks(sum_of_ranks, torch.tensor([10.0])) == [torch.tensor([21.0])] * 2


def test_the_group_can_be_joined_late():
    assert run_on_two_ranks(joins_late, grouped=False) == [(False, 0), (False, 1)]


def test_an_error_of_one_rank_is_raised_and_the_next_run_works():
    with pytest.raises(RuntimeError, match="broken here"):
        run_on_two_ranks(fails_on_rank_one)
    assert len(run_on_two_ranks(sum_of_ranks, torch.tensor([0.0]))) == 2
