import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vistok.losses as losses
from _support import relation_checks
from _support.strategies import normal, tensors


@pytest.mark.parametrize("check", relation_checks.CHECKS, ids=lambda check: check.__name__)
def test_contract(check):
    check(losses)


@given(tensors((6, 3)), st.floats(1, 2000), st.integers(2, 50))
def test_the_divergence_is_never_negative_and_always_finite(codes, alpha, bins):
    codes.requires_grad_()
    loss = losses.histogram_relation_loss(codes, normal(0, 12, 5), bins=bins, alpha=alpha)
    loss.backward()
    assert torch.isfinite(loss)
    assert loss > -1e-5
    assert torch.isfinite(codes.grad).all()


@given(tensors((5, 4)), st.floats(1, 500))
def test_a_histogram_sums_to_one(codes, alpha):
    histogram = losses.relation_histogram(codes, alpha=alpha)
    assert (histogram >= 0).all()
    assert abs(histogram.sum() - 1) < 1e-5


@settings(max_examples=15)
@given(st.integers(0, 1000), st.floats(5, 800))
def test_counting_agrees_with_evaluating(seed, alpha):
    codes = normal(seed, 280, 1 + seed % 9)
    counted = losses.relation_histogram(codes, alpha=alpha)
    exact = losses.relation_histogram(codes, alpha=alpha, exact=True)
    assert (counted - exact).abs().max() < 1e-5 * exact.max()


def test_gradcheck_of_the_exact_loss():
    codes = normal(0, 6, 3).double().requires_grad_()
    for norm in ("l1", "l2"):
        for diagonal in (False, True):
            module = losses.HistogramRelationLoss(
                normal(1, 9, 4).double(), bins=7, alpha=8.0, norm=norm, include_diagonal=diagonal, exact=True
            )
            assert module(codes).dtype == torch.float64
            assert torch.autograd.gradcheck(module, (codes,))


def test_the_l2_reading_can_be_negative():
    codes = normal(0, 200, 8)
    teacher = losses.relation_histogram(codes, norm="l2")
    root = teacher.sqrt()
    module = losses.HistogramRelationLoss(teacher, norm="l2")
    student = (root / root.norm()).log()
    assert abs(module(codes)) < 1e-5
    assert (teacher * (teacher.log() - student)).sum() < -0.01


def test_a_step_down_the_gradient_lowers_the_loss():
    codes = normal(0, 300, 8).requires_grad_()
    module = losses.HistogramRelationLoss(normal(1, 300, 8) + 0.5)
    before = module(codes)
    optimizer = torch.optim.Adam([codes], lr=0.02)
    for _ in range(10):
        optimizer.zero_grad()
        module(codes).backward()
        optimizer.step()
    assert module(codes) < 0.8 * before


def test_values_do_not_depend_on_autocast():
    codes, module = normal(0, 300, 8), losses.HistogramRelationLoss(normal(1, 30, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = module(codes)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, module(codes))


@pytest.mark.parametrize("exact", [True, False])
def test_the_loss_at_the_teacher_itself_is_zero_to_rounding_and_never_below(exact):
    for seed in range(12):
        codes = normal(seed, 40 + 60 * seed, 8).requires_grad_()
        options = {"exact": exact, "include_diagonal": seed % 2 == 1}
        loss = losses.HistogramRelationLoss(codes.detach(), **options)(codes)
        loss.backward()
        assert 0 <= loss.item() < 2e-6
        assert codes.grad.abs().max() < 1e-6


def test_repeated_calls_are_bit_equal():
    module = losses.HistogramRelationLoss(normal(1, 30, 8))
    results = []
    for _ in range(2):
        codes = normal(0, 600, 8).requires_grad_()
        module(codes).backward()
        results.append(codes.grad)
    assert torch.equal(*results)


def test_the_teacher_travels_in_the_state_dict():
    module = losses.HistogramRelationLoss(normal(1, 30, 8))
    other = losses.HistogramRelationLoss(torch.ones(40))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(normal(0, 9, 4)), module(normal(0, 9, 4)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(3), torch.ones(4, 2)), "tokens must have shape"),
        ((torch.ones(1, 3), torch.ones(4, 2)), "at least 2 rows"),
        ((torch.ones(4, 3), torch.ones(39)), "teacher must be tokens"),
        ((torch.ones(4, 3), torch.ones(2, 2, 2)), "teacher must be tokens"),
        ((torch.ones(4, 3), -torch.ones(40)), "finite values >= 0"),
        ((torch.ones(4, 3), torch.zeros(40)), "positive sum"),
        ((torch.ones(4, 3), torch.full((40,), float("nan"))), "finite values"),
        ((torch.ones(0, 3), torch.ones(4, 2)), "must not be empty"),
    ],
)
def test_wrong_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        losses.histogram_relation_loss(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bins": 1}, "bins"), ({"alpha": 0.0}, "alpha"), ({"alpha": float("inf")}, "alpha"), ({"norm": "l3"}, "norm")],
)
def test_wrong_options_are_named(options, message):
    for build in (
        lambda: losses.HistogramRelationLoss(torch.ones(4, 2), **options),
        lambda: losses.relation_histogram(torch.ones(4, 2), **options),
        lambda: losses.histogram_relation_loss(torch.ones(4, 2), torch.ones(4, 2), **options),
    ):
        with pytest.raises(ValueError, match=message):
            build()


def test_integer_codes_are_refused():
    with pytest.raises(TypeError, match="floating point"):
        losses.histogram_relation_loss(torch.ones(4, 3, dtype=torch.long), torch.ones(4, 2))
