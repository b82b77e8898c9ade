"""The histogram relation loss against Algorithm 1 of its paper; the sums over pairs have files of their own."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import pair_log_sums64, unit64
from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import HistogramRelationLoss, histogram_relation_loss, relation_histogram

SUBJECT = "vistok.losses.histogram_relation"


def histogram64(tokens, bins, alpha, norm="l1", diagonal=False):
    """Algorithm 1 in float64, on the pairs i < j (or i <= j)."""
    unit = unit64(tokens)
    i, j = torch.triu_indices(len(unit), len(unit), 0 if diagonal else 1)
    cosines = (unit[i] * unit[j]).sum(1)
    centres = torch.tensor([-1 + 2 * k / (bins - 1) for k in range(bins)]).double()
    p = (-alpha * (cosines.unsqueeze(1) - centres) ** 2).exp().sum(0)
    return p / (p.sum() if norm == "l1" else p.square().sum().sqrt())


def relative(a, b):
    return float((a.double() - b).norm() / b.norm())


@catches(SUBJECT, "power = 1.0 if", "power = 2.0 if")
def test_the_histogram_is_that_of_the_paper():
    for seed, n in enumerate((2, 3, 40, 300)):
        for norm in ("l1", "l2"):
            for diagonal in (False, True):
                for bins, alpha in ((40, 190.0), (11, 20.0)):
                    options = {"bins": bins, "alpha": alpha, "norm": norm, "include_diagonal": diagonal}
                    wanted = histogram64(normal(seed, n, 8), bins, alpha, norm, diagonal)
                    for exact in (False, True):
                        got = relation_histogram(normal(seed, n, 8), exact=exact, **options)
                        assert relative(got, wanted) < 3e-6, (n, options, exact)


@catches(SUBJECT, "tokens.shape[0] <= _FEW_TOKENS", "tokens.shape[0] < _FEW_TOKENS")
@catches(SUBJECT, "_FEW_TOKENS = 112", "_FEW_TOKENS = 256")
def test_more_than_112_codes_are_counted():
    for n, evaluated in ((112, True), (113, False)):
        default, exact = (relation_histogram(normal(0, n, 8), exact=exact) for exact in (False, True))
        assert torch.equal(default, exact) == evaluated


def test_loss_and_gradient_are_those_of_float64():
    """The accuracy that the documentation promises spread codes: 1e-5 and 1e-4, for counted and evaluated pairs."""
    teacher = normal(1, 50, 16) + 0.5
    for n in (20, 600):
        for alpha in (10.0, 800.0):
            codes = normal(2, n, 8).double().requires_grad_()
            target = histogram64(teacher, 40, alpha)
            student = pair_log_sums64(codes, torch.linspace(-1, 1, 40), alpha).log_softmax(0)
            wanted = (target * (target.log() - student)).sum()
            wanted.backward()
            for exact in (False, True):
                mine = codes.detach().float().requires_grad_()
                loss = histogram_relation_loss(mine, teacher, alpha=alpha, exact=exact)
                loss.backward()
                assert abs(loss.item() / wanted.item() - 1) < 1e-5, (n, alpha, exact)
                assert relative(mine.grad, codes.grad) < 1e-4, (n, alpha, exact)


@catches(SUBJECT, "torch.linspace(-1.0, 1.0, bins,", "torch.linspace(0.0, 1.0, bins,")
@catches(SUBJECT, "- teacher * log_student).sum()", "- teacher * log_student).mean()")
def test_by_hand():
    """Two orthogonal codes, three bins at -1, 0, 1: weights e^-alpha, 1, e^-alpha."""
    codes = torch.tensor([[2.0, 0.0], [0.0, 0.5]])
    got = relation_histogram(codes, bins=3, alpha=1.0)
    total = 1 + 2 * math.exp(-1)
    wanted = torch.tensor([math.exp(-1) / total, 1 / total, math.exp(-1) / total])
    assert torch.allclose(got, wanted, atol=1e-7)
    flat = torch.full((3,), 1 / 3)
    loss = histogram_relation_loss(codes, flat, bins=3, alpha=1.0)
    assert abs(loss.item() - (math.log(total) - math.log(3) + 2 / 3)) < 1e-6


@catches(SUBJECT, "unit = unit_directions(wide, dim=1)", "unit = wide / wide.norm(dim=1, keepdim=True)")
def test_degenerate_codebooks_stay_finite():
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
                loss = histogram_relation_loss(codes, teacher, alpha=alpha)
                loss.backward()
                assert loss.dtype == torch.float32, name
                assert torch.isfinite(loss), (name, alpha, dtype)
                assert loss >= -1e-6, (name, alpha, dtype)
                assert torch.isfinite(codes.grad).all(), (name, alpha, dtype)
                assert codes.grad.dtype == dtype, name


@catches("vistok.losses._precision", "is_zero = largest < SMALLEST_COMPONENT", "is_zero = largest < 0")
def test_a_zero_row_is_orthogonal_and_gets_no_gradient():
    for n in (3, 300):
        codes = normal(5, n, 4)
        codes[1] = 0
        codes.requires_grad_()
        histogram_relation_loss(codes, normal(6, 30, 8)).backward()
        assert not codes.grad[1].any()
        assert codes.grad[0].any()
    got = relation_histogram(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), bins=3, alpha=9.0)
    assert got.argmax() == 1


@catches(SUBJECT, "- teacher * log_student).sum()", "+ teacher * log_student).sum()")
@catches(SUBJECT, "return histogram / size", "return histogram")
def test_only_histograms_matter():
    """No change under the order and the norms of codes; zero against itself; above zero elsewhere."""
    for n in (20, 300):
        codes, teacher = normal(7, n, 8), normal(8, 40, 5)
        loss = histogram_relation_loss(codes, teacher)
        assert loss > 0.01
        shuffled = codes[torch.randperm(n, generator=torch.Generator().manual_seed(0))]
        scaled = codes * (0.1 + normal(9, n, 1).abs())
        assert abs(histogram_relation_loss(shuffled, teacher) - loss) < 1e-5 * loss
        assert abs(histogram_relation_loss(scaled, teacher) - loss) < 1e-5 * loss
        assert abs(histogram_relation_loss(codes, codes)) < 1e-6
        doubled = HistogramRelationLoss(2 * relation_histogram(teacher))
        assert abs(doubled(codes) - loss) < 1e-6


def test_the_gradient_is_orthogonal_to_each_code():
    for n in (20, 300):
        codes = normal(10, n, 8).requires_grad_()
        histogram_relation_loss(codes, normal(11, 40, 5)).backward()
        along = (codes * codes.grad).sum(1) / codes.norm(dim=1)
        assert along.abs().max() < 1e-5 * codes.grad.norm()


@catches(SUBJECT, "histogram = widen(teacher.detach())", "histogram = widen(teacher)")
def test_a_teacher_is_a_constant():
    teacher = normal(12, 20, 4).requires_grad_()
    codes = normal(13, 20, 4).requires_grad_()
    histogram_relation_loss(codes, teacher).backward()
    assert teacher.grad is None
    ready = torch.full((40,), 0.1, requires_grad=True)
    histogram_relation_loss(codes, ready).backward()
    assert ready.grad is None
    module = HistogramRelationLoss(teacher)
    assert not module.teacher_histogram.requires_grad
    assert module(codes) == histogram_relation_loss(codes, teacher)


@catches(SUBJECT, "+ (wide * 0.0).sum()", "")
def test_a_code_that_is_not_finite_shows():
    for n in (20, 300):
        for bad in (float("nan"), float("inf")):
            codes = normal(14, n, 8)
            codes[3, 2] = bad
            assert histogram_relation_loss(codes, normal(15, 20, 8)).isnan()


@given(tensors((6, 3)), st.floats(1, 2000), st.integers(2, 50))
def test_the_divergence_is_never_negative_and_always_finite(codes, alpha, bins):
    codes.requires_grad_()
    loss = histogram_relation_loss(codes, normal(0, 12, 5), bins=bins, alpha=alpha)
    loss.backward()
    assert torch.isfinite(loss)
    assert loss > -1e-5
    assert torch.isfinite(codes.grad).all()


@given(tensors((5, 4)), st.floats(1, 500))
def test_a_histogram_sums_to_one(codes, alpha):
    histogram = relation_histogram(codes, alpha=alpha)
    assert (histogram >= 0).all()
    assert abs(histogram.sum() - 1) < 1e-5


def test_gradcheck_of_the_exact_loss():
    codes = normal(0, 6, 3).double().requires_grad_()
    for norm in ("l1", "l2"):
        for diagonal in (False, True):
            module = HistogramRelationLoss(
                normal(1, 9, 4).double(), bins=7, alpha=8.0, norm=norm, include_diagonal=diagonal, exact=True
            )
            assert module(codes).dtype == torch.float64
            assert torch.autograd.gradcheck(module, (codes,))


def test_the_l2_reading_can_be_negative():
    codes = normal(0, 200, 8)
    teacher = relation_histogram(codes, norm="l2")
    root = teacher.sqrt()
    module = HistogramRelationLoss(teacher, norm="l2")
    student = (root / root.norm()).log()
    assert abs(module(codes)) < 1e-5
    assert (teacher * (teacher.log() - student)).sum() < -0.01


def test_a_step_down_the_gradient_lowers_the_loss():
    codes = normal(0, 300, 8).requires_grad_()
    module = HistogramRelationLoss(normal(1, 300, 8) + 0.5)
    before = module(codes)
    optimizer = torch.optim.Adam([codes], lr=0.02)
    for _ in range(10):
        optimizer.zero_grad()
        module(codes).backward()
        optimizer.step()
    assert module(codes) < 0.8 * before


def test_values_do_not_depend_on_autocast():
    codes, module = normal(0, 300, 8), HistogramRelationLoss(normal(1, 30, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = module(codes)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, module(codes))


@catches(SUBJECT, 'not_below_zero(divergence) if norm == "l1" else divergence', "divergence")
@pytest.mark.parametrize("exact", [True, False])
def test_the_loss_at_the_teacher_itself_is_zero_to_rounding_and_never_below(exact):
    for seed in range(12):
        codes = normal(seed, 40 + 60 * seed, 8).requires_grad_()
        options = {"exact": exact, "include_diagonal": seed % 2 == 1}
        loss = HistogramRelationLoss(codes.detach(), **options)(codes)
        loss.backward()
        assert 0 <= loss.item() < 2e-6
        assert codes.grad.abs().max() < 1e-6


def test_repeated_calls_are_bit_equal():
    module = HistogramRelationLoss(normal(1, 30, 8))
    results = []
    for _ in range(2):
        codes = normal(0, 600, 8).requires_grad_()
        module(codes).backward()
        results.append(codes.grad)
    assert torch.equal(*results)


def test_the_teacher_travels_in_the_state_dict():
    module = HistogramRelationLoss(normal(1, 30, 8))
    other = HistogramRelationLoss(torch.ones(40))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(normal(0, 9, 4)), module(normal(0, 9, 4)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(3), torch.ones(4, 2)), "tokens must have shape"),
        ((torch.ones(1, 3), torch.ones(4, 2)), "at least 2 rows"),
        ((torch.ones(4, 3), torch.ones(39)), "teacher must be tokens"),
        ((torch.ones(4, 3), torch.ones(2, 2, 2)), "teacher must be tokens"),
        ((torch.ones(4, 3), -torch.ones(40)), "finite values >= 0 .*, got values from -1 to -1"),
        ((torch.ones(4, 3), torch.zeros(40)), "positive sum, got values from 0 to 0"),
        ((torch.ones(4, 3), torch.full((40,), float("nan"))), "finite values .*, got values from nan to nan"),
        ((torch.ones(0, 3), torch.ones(4, 2)), "must not be empty"),
    ],
)
def test_wrong_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        histogram_relation_loss(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bins": 1}, "bins"), ({"alpha": 0.0}, "alpha"), ({"alpha": float("inf")}, "alpha"), ({"norm": "l3"}, "norm")],
)
def test_wrong_options_are_named(options, message):
    for build in (
        lambda: HistogramRelationLoss(torch.ones(4, 2), **options),
        lambda: relation_histogram(torch.ones(4, 2), **options),
        lambda: histogram_relation_loss(torch.ones(4, 2), torch.ones(4, 2), **options),
    ):
        with pytest.raises(ValueError, match=message):
            build()


def test_integer_codes_are_refused():
    with pytest.raises(TypeError, match="floating point"):
        histogram_relation_loss(torch.ones(4, 3, dtype=torch.long), torch.ones(4, 2))


@catches("vistok.losses._exact_pairs", "with autocast_off(unit):", "if True:")
@catches("vistok.losses._counted_pairs", "with autocast_off(unit):", "if True:")
def test_backward_within_autocast_is_that_of_float32():
    teacher = relation_histogram(normal(1, 300, 8))
    for exact in (False, True):
        found = []
        for enabled in (False, True):
            codes = normal(0, 400, 8).requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
                HistogramRelationLoss(teacher, exact=exact)(codes).backward()
            found.append(codes.grad)
        assert torch.equal(*found)


@catches(SUBJECT, "if self.teacher_histogram.dtype.itemsize < 4:", "if False:")
def test_in_a_module_of_half_precision_the_teacher_stays_a_distribution():
    teacher = normal(1, 60, 8)
    loss = HistogramRelationLoss(teacher)
    kept = loss.teacher_histogram.clone()
    for cast in (torch.float16, torch.bfloat16):
        torch.nn.Sequential(loss).to(cast)
        assert torch.equal(loss.teacher_histogram, kept)
    assert loss(teacher) < 1e-6
    assert loss.double().teacher_histogram.dtype == torch.float64
    assert loss.to("meta").teacher_histogram.is_meta
