"""Two ranks with half a batch each equal one rank with the joint batch: entropies, contrast, LeCam's means."""

import pytest
import torch

import vistok.losses as losses
from _support.gloo import join_group, run_on_two_ranks
from _support.mutants import catches
from _support.strategies import normal
from vistok.losses._distributed import gather_constants, sum_across_ranks, world_size

SUBJECT = "vistok.losses._distributed"


def entropies(rank, x):
    # Built and called like by a user; each rank holds its half.
    x = x.chunk(2)[rank].clone().requires_grad_()
    book = normal(1, 6, 4).requires_grad_()
    vector = losses.VectorEntropyLoss(temperature=0.5, across_ranks=True)(x, book)
    options = {"temperature": 2.0, "across_ranks": True}
    bits = sum(losses.LookupFreeEntropyLoss(group_bits=size, **options)(x) for size in (1, 3))
    (vector + bits).backward()
    return vector.detach(), bits.detach(), x.grad, book.grad


def contrast(rank, a, y):
    a, y = (t.chunk(2)[rank].clone() for t in (a, y))
    a.requires_grad_()
    loss = losses.ContrastiveLoss(temperature=0.3, across_ranks=True)(a, y)
    loss.backward()
    return loss.detach(), a.grad


def unequal_contrast(rank):
    try:
        losses.contrastive_loss(torch.ones(2 + rank, 3), torch.ones(2 + rank, 3), across_ranks=True)
    except ValueError as error:
        return str(error)
    return None


def lecam_means(rank):
    module = losses.LeCamLoss(decay=0.5)
    for step in range(2):
        module(torch.full((4,), float(rank + step)), torch.full((4,), float(-rank)))
    return module.real_mean, module.fake_mean


def built_early_and_late(rank):
    before = world_size()
    join_group()
    x = torch.full((2, 1), float(rank), requires_grad=True)
    total = sum_across_ranks(x)
    (total * (rank + 1)).sum().backward()
    return before, world_size(), total.tolist(), x.grad.tolist(), gather_constants(x)


@catches(SUBJECT, "def world_size() -> int:", "from functools import cache\n\n\n@cache\ndef world_size() -> int:")
@catches(SUBJECT, "torch.cat(gathered)", "torch.cat(gathered[::-1])")
def test_the_group_is_asked_for_at_every_call_by_hand():
    for rank, (before, now, total, gradient, (rows, start)) in enumerate(
        run_on_two_ranks(built_early_and_late, grouped=False)
    ):
        assert (before, now) == (1, 2)
        assert total == [[1.0], [1.0]]
        assert gradient == [[3.0], [3.0]]
        assert (rows.flatten().tolist(), start) == ([0.0, 0.0, 1.0, 1.0], 2 * rank)
        assert not rows.requires_grad


@catches(SUBJECT, "dist.all_reduce(total)\n        return total\n\n    @", "return total\n\n    @")
@catches(SUBJECT, "dist.all_reduce(total)\n        return total\n\n\n", "return total\n\n\n")
@catches("vistok.losses.entropy", "usage = sum_across_ranks(usage)", "pass")
@catches("vistok.losses.bit_entropy", "joint = sum_across_ranks(joint)", "pass")
@catches("vistok.losses.bit_entropy", "ones = sum_across_ranks(ones)", "pass")
def test_entropies_of_two_ranks_are_those_of_the_joint_batch():
    x = normal(0, 10, 4)
    ranks = run_on_two_ranks(entropies, x)
    joint = x.clone().requires_grad_()
    book = normal(1, 6, 4).requires_grad_()
    vector = losses.VectorEntropyLoss(temperature=0.5)(joint, book)
    bits = sum(losses.LookupFreeEntropyLoss(temperature=2.0, group_bits=size)(joint) for size in (1, 3))
    (vector + bits).backward()
    for index, whole in enumerate((vector, bits)):
        assert abs((ranks[0][index] + ranks[1][index]) / 2 - whole) < 1e-5
    # DDP averages the gradients of the ranks; a rank's own input sees half of its local gradient.
    torch.testing.assert_close(torch.cat([r[2] for r in ranks]) / 2, joint.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close((ranks[0][3] + ranks[1][3]) / 2, book.grad, atol=1e-5, rtol=1e-4)


@catches(SUBJECT, "dist.get_rank() * tensor.shape[0]", "0")
@catches("vistok.losses.contrastive", "gather_constants(b) if across_ranks else (b, 0)", "(b, 0)")
def test_contrast_of_two_ranks_is_that_of_the_joint_batch():
    a, y = normal(0, 8, 3), normal(1, 8, 3)
    ranks = run_on_two_ranks(contrast, a, y)
    joint = a.clone().requires_grad_()
    loss = losses.ContrastiveLoss(temperature=0.3)(joint, y)
    loss.backward()
    assert abs((ranks[0][0] + ranks[1][0]) / 2 - loss) < 1e-6
    torch.testing.assert_close(torch.cat([r[1] for r in ranks]) / 2, joint.grad, atol=1e-6, rtol=1e-4)


def test_unequal_batches_are_named_on_every_rank():
    assert run_on_two_ranks(unequal_contrast) == ["every rank must bring the same number of samples, got [2, 3]"] * 2


@catches("vistok.losses.lecam", "sum_across_ranks(means) / world_size()", "means")
@catches("vistok.losses.lecam", "sum_across_ranks(means) / world_size()", "sum_across_ranks(means)")
def test_lecam_means_are_equal_on_all_ranks():
    first, second = run_on_two_ranks(lecam_means)
    assert first == second == (torch.tensor(1.0), torch.tensor(-0.5))


@pytest.mark.parametrize("across_ranks", [False, True])
def test_without_a_process_group_nothing_is_gathered(across_ranks):
    x = normal(0, 5, 3)
    assert losses.contrastive_loss(x, x, across_ranks=across_ranks) == losses.contrastive_loss(x, x)
    assert losses.lookup_free_entropy_loss(x, across_ranks=across_ranks) == losses.lookup_free_entropy_loss(x)
