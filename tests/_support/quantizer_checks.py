"""What the learned quantizers must do, as functions of the package, so that planted mutants meet the same checks.

Every reference here is derived again in float64 with loops or full matrices, sharing no code with the package.
"""

import math
from itertools import pairwise
from types import ModuleType

import torch
from torch import Tensor

from _support.strategies import normal


def unit64(x: Tensor) -> Tensor:
    return x.double() / x.double().square().sum(-1, keepdim=True).sqrt()


def distances64(rows: Tensor, codebook: Tensor, metric: str) -> Tensor:
    """Tokens x codes in float64; smaller is nearer."""
    if metric == "cosine":
        return -rows.double() @ unit64(codebook).t()
    if metric == "dot":
        return -rows.double() @ codebook.double().t()
    return (rows.double().unsqueeze(1) - codebook.double()).square().sum(2)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def search_finds_the_nearest_code(q: ModuleType) -> None:
    for metric in ("euclidean", "cosine", "dot"):
        for size in (1, 5, 32, 33, 64, 100, 1500):
            rows, codebook = normal(size, 70, 5), normal(size + 1, size, 5) * 2
            found = q.nearest_codes(rows, codebook, metric=metric, token_block=16, code_block=64)
            wanted = distances64(rows, codebook, metric)
            assert torch.allclose(wanted.gather(1, found.unsqueeze(1)).squeeze(1), wanted.min(1).values, atol=1e-5)


def search_keeps_its_digits_far_from_the_origin(q: ModuleType) -> None:
    rows, codebook = normal(0, 200, 4) + 1000, normal(1, 500, 4) + 1000
    wanted = distances64(rows, codebook, "euclidean")
    got = wanted.gather(1, q.nearest_codes(rows, codebook).unsqueeze(1)).squeeze(1)
    assert torch.allclose(got, wanted.min(1).values, atol=1e-5)


def the_lowest_of_equal_codes_wins(q: ModuleType) -> None:
    for metric in ("euclidean", "cosine", "dot"):
        codebook = torch.ones(200, 3)
        codebook[:70] = -1.0
        rows = torch.ones(4, 3)
        for block in (32, 64, 1024):
            assert q.nearest_codes(rows, codebook, metric=metric, code_block=block).tolist() == [70] * 4
    assert q.nearest_codes(torch.zeros(1, 3), torch.ones(100, 3), metric="cosine").tolist() == [0]


def block_sizes_change_nothing(q: ModuleType) -> None:
    rows = torch.randint(-4, 5, (37, 3), generator=generator(0)).float()
    codebook = torch.randint(-4, 5, (333, 3), generator=generator(1)).float()
    for metric in ("euclidean", "dot"):
        whole = q.nearest_codes(rows, codebook, metric=metric, token_block=1000, code_block=1000)
        for token_block, code_block in ((1, 1), (2, 40), (7, 100), (36, 333)):
            parts = q.nearest_codes(rows, codebook, metric=metric, token_block=token_block, code_block=code_block)
            assert torch.equal(parts, whole)


def codes_are_the_rows_of_the_indices(q: ModuleType) -> None:
    for metric in ("euclidean", "cosine"):
        quantizer = q.VectorQuantizer(20, 4, metric=metric, generator=generator(0))
        z = normal(1, 3, 4, 2, 5)
        quantized, codes, indices = quantizer(z)
        table = quantizer.codebook.detach().double()
        features = z.permute(0, 2, 3, 1).reshape(-1, 4)
        assert indices.shape == (3, 2, 5)
        assert torch.equal(indices.flatten(), distances64(features, table, metric).argmin(1))
        table = unit64(table) if metric == "cosine" else table
        assert torch.allclose(codes.double(), table[indices].permute(0, 3, 1, 2), atol=1e-6)
        assert torch.equal(quantized, codes)
        assert torch.equal(quantizer.indices_to_codes(indices), codes)


def lookup_by_hand(q: ModuleType) -> None:
    """Codes (3, 4) and (0, -2); features (6, 7) and (1, -1)."""
    z = torch.tensor([[6.0, 7.0], [1.0, -1.0]])
    for metric, codes in (("euclidean", [[3.0, 4.0], [0.0, -2.0]]), ("cosine", [[0.6, 0.8], [0.0, -1.0]])):
        quantizer = q.VectorQuantizer(2, 2, metric=metric)
        quantizer.codebook.data.copy_(torch.tensor([[3.0, 4.0], [0.0, -2.0]]))
        out = quantizer(z)
        assert out.indices.tolist() == [0, 1]
        assert torch.allclose(out.codes, torch.tensor(codes))


def gradients_take_their_own_ways(q: ModuleType) -> None:
    for metric in ("euclidean", "cosine"):
        quantizer = q.VectorQuantizer(12, 3, metric=metric, generator=generator(0))
        z, up, g = normal(1, 6, 3), normal(2, 6, 3), normal(3, 6, 3)
        z.requires_grad_()
        out = quantizer(z)
        ((out.quantized * up).sum() + (out.codes * g).sum()).backward()
        z64 = z.detach().double().requires_grad_()
        table = quantizer.codebook.detach().double().requires_grad_()
        features, chosen = z64, table[out.indices]
        if metric == "cosine":
            features, chosen = unit64(z64), unit64(chosen)
        ((features * up).sum() + (chosen * g).sum()).backward()
        assert z.grad is not None
        assert torch.allclose(z.grad.double(), z64.grad, atol=1e-5)
        assert torch.allclose(quantizer.codebook.grad.double(), table.grad, rtol=1e-4, atol=1e-5)


def moving_average_by_hand(q: ModuleType) -> None:
    """One code at 2 with decay 0.5 and count 1; features 4 and 6: count 1.5, sum 1 + 5 = 6, code 4."""
    quantizer = q.VectorQuantizer(2, 1, metric="euclidean", learning="ema", decay=0.5)
    for buffer in (quantizer.weight, quantizer.ema_sum):
        buffer.copy_(torch.tensor([[2.0], [-5.0]]))
    quantizer(torch.tensor([[4.0], [6.0]]))
    assert quantizer.codebook.flatten().tolist() == [2.0, -5.0]
    quantizer.update()
    assert quantizer.codebook.flatten().tolist() == [4.0, -5.0]
    assert quantizer.ema_count.tolist() == [1.5, 0.5]


def moving_average_follows_the_paper(q: ModuleType) -> None:
    for metric in ("euclidean", "cosine"):
        quantizer = q.VectorQuantizer(9, 3, metric=metric, learning="ema", decay=0.8, generator=generator(0))
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


def accumulated_batches_count_as_one(q: ModuleType) -> None:
    z = normal(5, 40, 3)
    whole, parts = (q.VectorQuantizer(8, 3, learning="ema", generator=generator(0)) for _ in range(2))
    whole(z)
    whole.update()
    for piece in z.split(7):
        parts(piece)
    parts.update()
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, parts.state_dict()[name], atol=1e-6), name


def evaluation_and_freezing_change_nothing(q: ModuleType) -> None:
    for learning in ("gradient", "ema"):
        for stop in ("eval", "freeze"):
            quantizer = q.VectorQuantizer(8, 3, learning=learning, generator=generator(0))
            getattr(quantizer, stop)()
            quantizer.steps_unused += 7
            before = {name: value.clone() for name, value in quantizer.state_dict().items()}
            quantizer(normal(0, 30, 3))
            if stop == "freeze":
                quantizer.update()
                assert quantizer.revive(normal(1, 30, 3), generator=generator(0)).numel() == 0
                assert not quantizer.codebook.requires_grad
            for name, value in quantizer.state_dict().items():
                assert torch.equal(value, before[name]), name


def revival_replaces_only_dead_codes(q: ModuleType) -> None:
    for learning in ("gradient", "ema"):
        quantizer = q.VectorQuantizer(40, 3, metric="euclidean", learning=learning, generator=generator(0))
        quantizer.codebook.data.copy_(normal(3, 40, 3))
        z = normal(4, 12, 3)
        for _ in range(3):
            used = quantizer(z).indices
            quantizer.update()
        quantizer.steps_unused[(used[0] + 1) % 40] += 5
        before, age = quantizer.codebook.detach().clone(), quantizer.steps_unused.clone()
        assert quantizer.revive(z, generator=generator(1), after=99).numel() == 0
        revived = quantizer.revive(z, generator=generator(1), after=3)
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


def tokens_that_are_not_finite_stay_out_of_the_statistics(q: ModuleType) -> None:
    clean = normal(0, 10, 3)
    dirty = torch.cat([clean, torch.tensor([[math.nan, 0, 0], [1, math.inf, 0]])])
    for metric in ("euclidean", "cosine"):
        one, two = (q.VectorQuantizer(6, 3, metric=metric, learning="ema", generator=generator(0)) for _ in range(2))
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


def k_means_by_hand(q: ModuleType) -> None:
    rows = torch.tensor([[0.0, 1.0], [0.0, 3.0], [9.0, 9.0], [11.0, 9.0], [math.nan, 0.0]])
    for seed in range(4):
        centres = q.k_means(rows, 2, generator=generator(seed), iterations=10)
        if sorted(centres.tolist()) == [[0.0, 2.0], [10.0, 9.0]]:
            return
    raise AssertionError(centres)


def k_means_never_increases_the_error(q: ModuleType) -> None:
    rows = normal(0, 200, 4)
    for metric in ("euclidean", "cosine"):
        features = unit64(rows) if metric == "cosine" else rows.double()
        errors = [
            distances64(features, q.k_means(rows, 12, generator=generator(0), metric=metric, iterations=n), metric)
            .min(1)
            .values.sum()
            .item()
            for n in range(6)
        ]
        assert all(b <= a + 1e-6 for a, b in pairwise(errors))
        assert errors[-1] < errors[0]
        if metric == "cosine":
            length = q.k_means(rows, 12, generator=generator(0), metric=metric).norm(dim=1)
            assert torch.allclose(length, torch.ones(12))


CHECKS = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__annotations__", {}).get("q") is ModuleType
]
