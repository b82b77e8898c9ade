"""Checks of the histogram relation loss; each takes the package, so that a planted bug can be put under it."""

import math
from types import ModuleType

import torch
from torch import Tensor

from _support.strategies import normal


def naive_histogram(tokens: Tensor, bins: int, alpha: float, norm: str = "l1", diagonal: bool = False) -> Tensor:
    """Algorithm 1 in float64, on the pairs i < j (or i <= j)."""
    unit = tokens.double() / tokens.double().norm(dim=1, keepdim=True)
    i, j = torch.triu_indices(len(unit), len(unit), 0 if diagonal else 1)
    cosines = (unit[i] * unit[j]).sum(1)
    centres = torch.tensor([-1 + 2 * k / (bins - 1) for k in range(bins)]).double()
    p = (-alpha * (cosines.unsqueeze(1) - centres) ** 2).exp().sum(0)
    return p / (p.sum() if norm == "l1" else p.square().sum().sqrt())


def naive_log_histogram(tokens: Tensor, alpha: float) -> Tensor:
    """The same in log space, for codebooks that leave bins empty."""
    unit = tokens.double() / tokens.double().norm(dim=1, keepdim=True)
    i, j = torch.triu_indices(len(unit), len(unit), 1)
    exponent = -alpha * ((unit[i] * unit[j]).sum(1).unsqueeze(1) - torch.linspace(-1, 1, 40).double()) ** 2
    p = exponent.logsumexp(0)
    return p - p.logsumexp(0)


def _relative(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b).norm() / b.norm())


def histogram_is_that_of_the_paper(losses: ModuleType) -> None:
    for seed, n in enumerate((2, 3, 40, 300)):
        for norm in ("l1", "l2"):
            for diagonal in (False, True):
                for bins, alpha in ((40, 190.0), (11, 20.0)):
                    options = {"bins": bins, "alpha": alpha, "norm": norm, "include_diagonal": diagonal}
                    wanted = naive_histogram(normal(seed, n, 8), bins, alpha, norm, diagonal)
                    for exact in (False, True):
                        got = losses.relation_histogram(normal(seed, n, 8), exact=exact, **options)
                        assert _relative(got, wanted) < 3e-6, (n, options, exact)


def loss_and_gradient_are_those_of_float64(losses: ModuleType) -> None:
    """The accuracy that the documentation promises: 1e-5 and 1e-4, for counted and evaluated pairs."""
    teacher = normal(1, 50, 16) + 0.5
    for n in (20, 600):
        for alpha in (10.0, 800.0):
            codes = normal(2, n, 8).double().requires_grad_()
            target = naive_histogram(teacher, 40, alpha)
            wanted = (target * (target.log() - naive_log_histogram(codes, alpha))).sum()
            wanted.backward()
            for exact in (False, True):
                mine = codes.detach().float().requires_grad_()
                loss = losses.histogram_relation_loss(mine, teacher, alpha=alpha, exact=exact)
                loss.backward()
                assert abs(loss.item() / wanted.item() - 1) < 1e-5, (n, alpha, exact)
                assert _relative(mine.grad, codes.grad) < 1e-4, (n, alpha, exact)


def clustered_codebooks_are_as_accurate(losses: ModuleType) -> None:
    centre = normal(3, 3, 8)
    teacher = normal(1, 50, 16) + 0.5
    books = [
        centre[:1] + 0.01 * normal(4, 400, 8),
        centre[torch.arange(400) % 3] + 0.02 * normal(5, 400, 8),
        normal(6, 400, 128),
    ]
    for book in books:
        for alpha in (10.0, 190.0, 800.0):
            codes = book.double().requires_grad_()
            target = naive_log_histogram(teacher, alpha)
            wanted = (target.exp() * (target - naive_log_histogram(codes, alpha))).sum()
            wanted.backward()
            mine = book.clone().requires_grad_()
            loss = losses.histogram_relation_loss(mine, target.exp(), alpha=alpha)
            loss.backward()
            assert abs(loss.item() / wanted.item() - 1) < 1e-5
            assert _relative(mine.grad, codes.grad) < 1e-4


def histogram_by_hand(losses: ModuleType) -> None:
    """Two orthogonal codes, three bins at -1, 0, 1: weights e^-alpha, 1, e^-alpha."""
    got = losses.relation_histogram(torch.tensor([[2.0, 0.0], [0.0, 0.5]]), bins=3, alpha=1.0)
    total = 1 + 2 * math.exp(-1)
    wanted = torch.tensor([math.exp(-1) / total, 1 / total, math.exp(-1) / total])
    assert torch.allclose(got, wanted, atol=1e-7)
    flat = torch.full((3,), 1 / 3)
    loss = losses.histogram_relation_loss(torch.tensor([[2.0, 0.0], [0.0, 0.5]]), flat, bins=3, alpha=1.0)
    assert abs(loss.item() - (math.log(total) - math.log(3) + 2 / 3)) < 1e-6


def degenerate_codebooks_stay_finite(losses: ModuleType) -> None:
    teacher = normal(0, 30, 8)
    zero_row = normal(1, 300, 8)
    zero_row[7] = 0
    books = {
        "equal codes": normal(2, 1, 8).expand(300, 8),
        "two equal codes": normal(2, 1, 8).expand(2, 8),
        "opposed codes": torch.tensor([[1.0, 0.0], [-1.0, 0.0]]),
        "zero row": zero_row,
        "all zero": torch.zeros(300, 8),
        "tiny and huge": normal(3, 300, 8) * torch.logspace(-25, 30, 300).unsqueeze(1),
        "one cluster": 1 + 1e-4 * normal(4, 300, 8),
    }
    for name, book in books.items():
        for alpha in (10.0, 190.0, 800.0):
            for dtype in (torch.float32, torch.float16, torch.bfloat16):
                if name == "tiny and huge" and dtype == torch.float16:
                    continue
                codes = book.clone().to(dtype).requires_grad_()
                loss = losses.histogram_relation_loss(codes, teacher, alpha=alpha)
                loss.backward()
                assert loss.dtype == torch.float32, name
                assert torch.isfinite(loss), (name, alpha, dtype)
                assert loss >= -1e-6, (name, alpha, dtype)
                assert torch.isfinite(codes.grad).all(), (name, alpha, dtype)
                assert codes.grad.dtype == dtype, name


def a_zero_row_is_orthogonal_and_gets_no_gradient(losses: ModuleType) -> None:
    for n in (3, 300):
        codes = normal(5, n, 4)
        codes[1] = 0
        codes.requires_grad_()
        losses.histogram_relation_loss(codes, normal(6, 30, 8)).backward()
        assert not codes.grad[1].any()
        assert codes.grad[0].any()
    got = losses.relation_histogram(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), bins=3, alpha=9.0)
    assert got.argmax() == 1


def only_histograms_matter(losses: ModuleType) -> None:
    """No change under the order and the norms of codes; zero against itself; above zero elsewhere."""
    for n in (20, 300):
        codes, teacher = normal(7, n, 8), normal(8, 40, 5)
        loss = losses.histogram_relation_loss(codes, teacher)
        assert loss > 0.01
        shuffled = codes[torch.randperm(n, generator=torch.Generator().manual_seed(0))]
        scaled = codes * (0.1 + normal(9, n, 1).abs())
        assert abs(losses.histogram_relation_loss(shuffled, teacher) - loss) < 1e-5 * loss
        assert abs(losses.histogram_relation_loss(scaled, teacher) - loss) < 1e-5 * loss
        assert abs(losses.histogram_relation_loss(codes, codes)) < 1e-6
        doubled = losses.HistogramRelationLoss(2 * losses.relation_histogram(teacher))
        assert abs(doubled(codes) - loss) < 1e-6


def the_gradient_is_orthogonal_to_each_code(losses: ModuleType) -> None:
    for n in (20, 300):
        codes = normal(10, n, 8).requires_grad_()
        losses.histogram_relation_loss(codes, normal(11, 40, 5)).backward()
        along = (codes * codes.grad).sum(1) / codes.norm(dim=1)
        assert along.abs().max() < 1e-5 * codes.grad.norm()


def a_teacher_is_a_constant(losses: ModuleType) -> None:
    teacher = normal(12, 20, 4).requires_grad_()
    codes = normal(13, 20, 4).requires_grad_()
    losses.histogram_relation_loss(codes, teacher).backward()
    assert teacher.grad is None
    ready = torch.full((40,), 0.1, requires_grad=True)
    losses.histogram_relation_loss(codes, ready).backward()
    assert ready.grad is None
    module = losses.HistogramRelationLoss(teacher)
    assert not module.teacher_histogram.requires_grad
    assert module(codes) == losses.histogram_relation_loss(codes, teacher)


def blocks_change_nothing(losses: ModuleType) -> None:
    import importlib

    blocks = importlib.import_module("vistok.losses._exact_pairs")
    for n, elements in ((7, 4), (7, 49), (13, 25), (1, 1), (5, 1)):
        seen = torch.zeros(n, n, dtype=torch.long)
        for rows, columns in blocks.pair_blocks(n, elements):
            seen[rows, columns] += 1
            if rows != columns:
                seen[columns, rows] += 1
            assert (rows.stop - rows.start) * (columns.stop - columns.start) <= elements
        assert (seen == 1).all()


def a_non_finite_code_shows(losses: ModuleType) -> None:
    for n in (20, 300):
        for bad in (float("nan"), float("inf")):
            codes = normal(14, n, 8)
            codes[3, 2] = bad
            assert losses.histogram_relation_loss(codes, normal(15, 20, 8)).isnan()


CHECKS = [
    histogram_is_that_of_the_paper,
    loss_and_gradient_are_those_of_float64,
    clustered_codebooks_are_as_accurate,
    histogram_by_hand,
    degenerate_codebooks_stay_finite,
    a_zero_row_is_orthogonal_and_gets_no_gradient,
    only_histograms_matter,
    the_gradient_is_orthogonal_to_each_code,
    a_teacher_is_a_constant,
    blocks_change_nothing,
    a_non_finite_code_shows,
]
