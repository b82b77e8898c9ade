"""How a codebook learns: the moving average, revival, the start by k-means; on two ranks in test_distributed.py."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import distances64, unit64
from _support.mutants import catches
from _support.strategies import normal, seeded, seeds
from vistok.quantizers import VectorQuantizer, k_means

SUBJECT = "vistok.quantizers.vector"


def build(seed=0, **kwargs):
    return VectorQuantizer(16, 3, generator=seeded(seed), **kwargs)


@catches(
    SUBJECT,
    "torch.where(used.unsqueeze(1), moved.to(self.weight.dtype), self.weight)",
    "moved + 0.01 * ~used.unsqueeze(1)",
)
def test_moving_average_by_hand():
    """One code at 2 with decay 0.5 and count 1; features 4 and 6: count 1.5, sum 1 + 5 = 6, code 4."""
    quantizer = VectorQuantizer(2, 1, metric="euclidean", learning="ema", decay=0.5)
    for buffer in (quantizer.weight, quantizer.ema_sum):
        buffer.copy_(torch.tensor([[2.0], [-5.0]]))
    quantizer(torch.tensor([[4.0], [6.0]]))
    assert quantizer.codebook.flatten().tolist() == [2.0, -5.0]
    quantizer.update()
    assert quantizer.codebook.flatten().tolist() == [4.0, -5.0]
    assert quantizer.ema_count.tolist() == [1.5, 0.5]


@catches(SUBJECT, "self.ema_count.dtype), 1 - self.decay)", "self.ema_count.dtype), self.decay)")
@catches(SUBJECT, "self.ema_sum.lerp_(total, 1 - self.decay)", "self.ema_sum.add_(total)")
@catches(SUBJECT, "            self.pending_sum.zero_()\n", "            pass\n")
@catches(SUBJECT, "masked_fill_(used, 0)\n        self._forget_pending()", "masked_fill_(used, 0)")
@catches(SUBJECT, "        self.pending_count.zero_()\n", "        pass\n")
def test_moving_average_follows_the_paper():
    for metric in ("euclidean", "cosine"):
        quantizer = VectorQuantizer(9, 3, metric=metric, learning="ema", decay=0.8, generator=seeded(0))
        table = quantizer.codebook.double().clone()
        count, total = torch.ones(9).double(), table.clone()
        for step in range(6):
            z = normal(step, 25, 3)
            features = unit64(z) if metric == "cosine" else z.double()
            chosen = distances64(features, table, metric).argmin(1)
            assert torch.equal(quantizer(z).indices, chosen)
            quantizer.update()
            for k in range(9):
                mine = features[chosen == k]
                count[k] = 0.8 * count[k] + 0.2 * len(mine)
                total[k] = 0.8 * total[k] + 0.2 * mine.sum(0)
                if len(mine):
                    table[k] = total[k] / count[k]
                    table[k] = unit64(table[k]) if metric == "cosine" else table[k]
            assert torch.allclose(quantizer.codebook.double(), table, atol=1e-5)


@catches(
    SUBJECT,
    "self.pending_count.index_add_(0, tokens.indices, tokens.finite.long())",
    "self.pending_count.zero_().index_add_(0, tokens.indices, tokens.finite.long())",
)
def test_accumulated_batches_count_as_one():
    z = normal(5, 40, 3)
    whole, parts = (VectorQuantizer(8, 3, learning="ema", generator=seeded(0)) for _ in range(2))
    whole(z)
    whole.update()
    for piece in z.split(7):
        parts(piece)
    parts.update()
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, parts.state_dict()[name], atol=1e-6), name


@catches(SUBJECT, "[self.steps_unused[oldest] >= after]", "")
@catches(SUBJECT, "sort(descending=True, stable=True)", "sort(stable=True)")
@catches(SUBJECT, "self.ema_count.index_fill_(0, codes, 1.0)", "pass")
@catches(SUBJECT, "self.ema_sum.index_copy_(0, codes, features.to(self.ema_sum.dtype))", "pass")
@catches(SUBJECT, "self.steps_unused.index_fill_(0, codes, 0)", "pass")
def test_revival_replaces_only_dead_codes():
    for learning in ("gradient", "ema"):
        quantizer = VectorQuantizer(40, 3, metric="euclidean", learning=learning, generator=seeded(0))
        quantizer.codebook.data.copy_(normal(3, 40, 3))
        z = normal(4, 12, 3)
        for _ in range(3):
            used = quantizer(z).indices
            quantizer.update()
        quantizer.steps_unused[(used[0] + 1) % 40] += 5
        before, age = quantizer.codebook.detach().clone(), quantizer.steps_unused.clone()
        assert quantizer.revive(z, generator=seeded(1), after=99).numel() == 0
        revived = quantizer.revive(z, generator=seeded(1), after=3)
        assert len(revived) == min(12, int((age >= 3).sum()))
        assert (age[revived] >= 3).all()
        assert age[revived].min() >= age[[k for k in range(40) if k not in revived.tolist()]].max()
        kept = torch.ones(40, dtype=torch.bool)
        kept[revived] = False
        assert torch.equal(quantizer.codebook[kept], before[kept])
        drawn = quantizer.codebook.detach()[revived]
        assert len(drawn.unique(dim=0)) == len(drawn)
        assert all((z == row).all(1).any() for row in drawn)
        assert (quantizer.steps_unused[revived] == 0).all()
        if learning == "ema":
            assert torch.equal(quantizer.ema_sum[revived], drawn)
            assert (quantizer.ema_count[revived] == 1).all()


@catches(SUBJECT, "tokens.finite.long()", "torch.ones_like(tokens.indices)")
@catches("vistok.quantizers._tokens", 'float("nan")', "0.0")
@catches("vistok.quantizers._tokens", "rows = torch.where(finite.unsqueeze(1), rows, 0.0)", "pass")
def test_tokens_that_are_not_finite_stay_out_of_the_statistics():
    clean = normal(0, 10, 3)
    dirty = torch.cat([clean, torch.tensor([[math.nan, 0, 0], [1, math.inf, 0]])])
    for metric in ("euclidean", "cosine"):
        one, two = (VectorQuantizer(6, 3, metric=metric, learning="ema", generator=seeded(0)) for _ in range(2))
        one(clean)
        out = two(dirty)
        assert out.indices[-2:].tolist() == [0, 0]
        assert out.quantized[-2:].isnan().all()
        assert out.quantized[:-2].isfinite().all()
        assert out.codes.isfinite().all()
        one.update()
        two.update()
        for name, value in one.state_dict().items():
            assert torch.equal(value, two.state_dict()[name]), name


@given(seeds, st.sampled_from(["cosine", "euclidean"]))
def test_a_code_that_no_token_chose_does_not_move(seed, metric):
    quantizer = build(seed, metric=metric, learning="ema")
    before = quantizer.codebook.clone()
    indices = quantizer(normal(seed, 5, 3)).indices
    quantizer.update()
    unused = torch.ones(16, dtype=torch.bool)
    unused[indices] = False
    assert torch.equal(quantizer.codebook[unused], before[unused])
    if metric == "cosine":
        torch.testing.assert_close(quantizer.codebook.norm(dim=1), torch.ones(16))


@given(seeds)
def test_the_moving_average_never_leaves_the_hull_of_codes_and_features(seed):
    quantizer = build(seed, metric="euclidean", learning="ema", decay=0.5)
    z = normal(seed, 30, 3)
    low = torch.minimum(z.amin(0), quantizer.codebook.amin(0))
    high = torch.maximum(z.amax(0), quantizer.codebook.amax(0))
    for _ in range(3):
        quantizer(z)
        quantizer.update()
    assert (quantizer.codebook >= low - 1e-5).all()
    assert (quantizer.codebook <= high + 1e-5).all()


def test_steps_unused_counts_updates_since_a_code_was_chosen():
    quantizer = build()
    indices = quantizer(normal(0, 2, 3)).indices
    quantizer.update()
    quantizer.update()
    wanted = torch.full((16,), 2)
    wanted[indices] = 1
    assert torch.equal(quantizer.steps_unused, wanted)


@pytest.mark.parametrize("learning", ["gradient", "ema"])
def test_a_resumed_run_equals_the_uninterrupted_one(learning):
    def steps(quantizer, draw, first, last):
        for step in range(first, last):
            z = normal(step, 20, 3)
            quantizer(z)
            quantizer.update()
            quantizer.revive(z, generator=draw, after=2)

    whole, draw = build(learning=learning), seeded(5)
    steps(whole, draw, 0, 3)
    saved, saved_draw = copy.deepcopy(whole.state_dict()), draw.get_state()
    steps(whole, draw, 3, 6)
    resumed, draw = build(9, learning=learning), seeded(0)
    resumed.load_state_dict(saved)
    draw.set_state(saved_draw)
    steps(resumed, draw, 3, 6)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize("learning", ["gradient", "ema"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_initialize_sets_the_k_means_centres_and_forgets_the_statistics(learning, metric):
    quantizer = build(learning=learning, metric=metric)
    quantizer(normal(1, 9, 3))
    quantizer.update()
    quantizer(normal(2, 9, 3))
    z = normal(0, 4, 3, 5, 5)
    quantizer.initialize(z, generator=seeded(1), iterations=4)
    rows = quantizer.to_code_space(z).movedim(1, -1).reshape(-1, 3)
    wanted = k_means(rows, 16, generator=seeded(1), metric=metric, iterations=4)
    assert torch.equal(quantizer.codebook.detach(), wanted)
    assert not quantizer.steps_unused.any()
    assert not quantizer.pending_count.any()
    if learning == "ema":
        assert torch.equal(quantizer.ema_sum, wanted)
        assert (quantizer.ema_count == 1).all()
        assert not quantizer.pending_sum.any()


def test_initialize_needs_a_finite_token_for_each_code():
    z = normal(0, 16, 3)
    z[3, 1] = float("nan")
    with pytest.raises(ValueError, match="at least num_clusters=16 finite rows, got 15"):
        build().initialize(z, generator=seeded(0))


def test_revival_draws_only_finite_features_and_refuses_a_senseless_age():
    quantizer = build()
    quantizer.steps_unused += 3
    z = normal(0, 4, 3)
    z[0, 0] = float("inf")
    revived = quantizer.revive(z, generator=seeded(0))
    assert len(revived) == 3
    assert quantizer.codebook.isfinite().all()
    with pytest.raises(ValueError, match="after must be at least 1, got 0"):
        quantizer.revive(z, generator=seeded(0), after=0)
