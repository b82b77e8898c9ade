"""Two ranks with half of the batch each do what one rank does with all of it, also when built before the group."""

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from _support.gloo import join_group, run_on_two_ranks
from _support.mutants import catches
from _support.strategies import normal, seeded
from vistok.quantizers import CodebookUsage, VectorQuantizer, k_means

STEPS, BATCH, SIZE, DIM = 3, 60, 40, 3


def build(learning, metric):
    return VectorQuantizer(SIZE, DIM, learning=learning, metric=metric, generator=seeded(0))


def train(quantizer, share, seed):
    """Initialize by k-means, take some steps, revive: everything that may differ between ranks."""
    quantizer.initialize(share(normal(99, 3 * BATCH, DIM)), generator=seeded(seed), iterations=2)
    revived = []
    for step in range(STEPS):
        quantizer(share(normal(step, BATCH, DIM)))
        quantizer.update()
        revived.append(quantizer.revive(share(normal(step + 50, BATCH, DIM)), generator=seeded(seed), after=1))
    state = {name: value.detach().clone() for name, value in quantizer.state_dict().items()}
    return state, revived


def train_one_rank_of_two(rank, learning, metric, early):
    quantizer = build(learning, metric) if early else None
    join_group()
    quantizer = quantizer or build(learning, metric)
    return train(quantizer, lambda z: z.tensor_split([25 * len(z) // 60])[rank], seed=rank)


@pytest.mark.parametrize("early", [False, True], ids=["built after the group", "built before the group"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("learning", ["gradient", "ema"])
def test_two_ranks_equal_one_rank_with_the_joint_batch(learning, metric, early):
    (first, revived_first), (second, revived_second) = run_on_two_ranks(
        train_one_rank_of_two, learning, metric, early, grouped=False
    )
    joint, revived = train(build(learning, metric), lambda z: z, seed=0)
    assert sum(len(codes) for codes in revived) > 0
    for a, b, c in zip(revived_first, revived_second, revived, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
    for name, value in joint.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value)


def accumulate_under_ddp(rank):
    quantizer = build("ema", "cosine")
    model = torch.nn.Sequential(torch.nn.Linear(DIM, DIM), quantizer)
    torch.manual_seed(0)
    torch.nn.init.eye_(model[0].weight)
    torch.nn.init.zeros_(model[0].bias)
    wrapped = DistributedDataParallel(model)
    mine = normal(0, BATCH, DIM).chunk(2)[rank]
    for step in range(2):
        with wrapped.no_sync():
            wrapped(mine[:10] + step).quantized.sum().backward()
        wrapped(mine[10:] + step).quantized.sum().backward()
        quantizer.update()
    return quantizer.codebook


def test_accumulation_under_ddp_counts_every_micro_batch_of_every_rank():
    first, second = run_on_two_ranks(accumulate_under_ddp)
    quantizer = build("ema", "cosine")
    for step in range(2):
        quantizer(normal(0, BATCH, DIM) + step)
        quantizer.update()
    assert torch.equal(first, second)
    torch.testing.assert_close(first, quantizer.codebook)


def gradient_under_ddp(rank):
    quantizer = build("gradient", "cosine")
    wrapped = DistributedDataParallel(quantizer)
    wrapped(normal(0, BATCH, DIM).chunk(2)[rank]).codes.square().sum(1).mean().backward()
    return quantizer.codebook.grad


def test_a_codebook_learned_by_gradient_gets_the_joint_gradient_under_ddp():
    first, second = run_on_two_ranks(gradient_under_ddp)
    quantizer = build("gradient", "cosine")
    quantizer(normal(0, BATCH, DIM)).codes.square().sum(1).mean().backward()
    assert torch.equal(first, second)
    torch.testing.assert_close(first, quantizer.codebook.grad)


def count_usage(rank):
    usage = CodebookUsage(16)
    usage(torch.arange(5 + 3 * rank))
    report = usage.report()
    again = usage.report()
    return report.counts, again.counts, report.perplexity


@catches("vistok.quantizers.usage", "counts = sum_over_ranks(self.counts)", "counts = self.counts")
@catches("vistok.quantizers._collectives", "total = x.clone()", "total = x")
def test_usage_is_summed_over_ranks_and_can_be_asked_twice():
    for counts, again, perplexity in run_on_two_ranks(count_usage):
        assert counts.tolist() == again.tolist() == [[2] * 5 + [1] * 3 + [0] * 8]
        usage = CodebookUsage(16)
        usage(torch.tensor([0, 1, 2, 3, 4] * 2 + [5, 6, 7]))
        torch.testing.assert_close(perplexity, usage.report().perplexity)


def cluster(rank):
    return k_means(normal(rank, 30 + 20 * rank, 2), 40, generator=seeded(rank), iterations=3)


def test_k_means_clusters_the_rows_of_all_ranks_with_the_draw_of_the_first():
    first, second = run_on_two_ranks(cluster)
    assert torch.equal(first, second)
    rows = torch.cat([normal(0, 30, 2), normal(1, 50, 2)])
    torch.testing.assert_close(first, k_means(rows, 40, generator=seeded(0), iterations=3))


def one_action(quantizer, action, share, seed):
    z = share(normal(7, 4 * BATCH, DIM))
    if action == "update":
        quantizer(z)
        quantizer.update()
    elif action == "revive":
        quantizer.steps_unused += 1
        quantizer.revive(z, generator=seeded(seed))
    else:
        quantizer.initialize(z, generator=seeded(seed), iterations=1)
    return {name: value.clone() for name, value in quantizer.state_dict().items()}


def one_action_of_a_rank(rank, action):
    quantizer = build("ema", "cosine")
    quantizer.update()
    join_group()
    return one_action(quantizer, action, lambda z: z.chunk(2)[rank], seed=rank)


def check_one_action(action):
    """Two ranks that meet after the first update end with the same state, that of one rank with the joint batch."""
    first, second = run_on_two_ranks(one_action_of_a_rank, action, grouped=False)
    quantizer = build("ema", "cosine")
    quantizer.update()
    joint = one_action(quantizer, action, lambda z: z, seed=0)
    for name, value in joint.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value)


@catches("vistok.quantizers.vector", "count = sum_over_ranks(self.pending_count)", "count = self.pending_count")
@catches("vistok.quantizers.vector", "total = sum_over_ranks(self.pending_sum)", "total = self.pending_sum")
@catches(
    "vistok.quantizers._collectives",
    "def world_size() -> int:",
    "from functools import cache\n\n\n@cache\ndef world_size() -> int:",
)
def test_an_update_counts_all_ranks():
    check_one_action("update")


@catches(
    "vistok.quantizers.vector",
    "value_of_first_rank(rows[order[: dead.shape[0]].to(rows.device)])",
    "rows[order[: dead.shape[0]].to(rows.device)]",
)
@catches("vistok.quantizers.vector", "rows = rows_of_all_ranks(finite_rows(rows))", "rows = finite_rows(rows)")
def test_a_revival_draws_once_from_all_ranks():
    check_one_action("revive")


@catches("vistok.quantizers.k_means", "return value_of_first_rank(centres)", "return centres")
@catches("vistok.quantizers.k_means", "rows = rows_of_all_ranks(finite_rows(rows))", "rows = finite_rows(rows)")
def test_a_start_by_k_means_clusters_all_ranks():
    check_one_action("initialize")
