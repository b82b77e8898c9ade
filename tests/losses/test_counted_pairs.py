"""The log sums of all pairs, counted in fine cells: as accurate as documented, and the pairs never held."""

import math
from functools import cache

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from _support.float64 import pair_log_sums64
from _support.mutants import catches
from _support.strategies import normal
from vistok.losses import histogram_relation_loss, relation_histogram
from vistok.losses._counted_pairs import CountedLogSums

SUBJECT = "vistok.losses._counted_pairs"
CENTRES = torch.linspace(-1, 1, 40)
CLUSTERS = normal(3, 3, 8)
BOOKS = {
    "spread": normal(2, 600, 8),
    "one cluster": CLUSTERS[:1] + 0.01 * normal(4, 400, 8),
    "three clusters": CLUSTERS[torch.arange(400) % 3] + 0.02 * normal(5, 400, 8),
    "nearly orthogonal": normal(6, 400, 128),
}
# As few codes as are counted.
FEW = normal(7, 113, 8)
BOOKS |= {
    "few": FEW,
    "few in one cluster": CLUSTERS[:1] + 0.01 * FEW,
    "few in three clusters": CLUSTERS[torch.arange(113) % 3] + 0.02 * FEW,
    "few in pairs of equals": FEW[torch.arange(113) // 2],
    "few in pairs of near equals": FEW[torch.arange(113) // 2] + 1e-4 * normal(8, 113, 8),
    "all equal but one": torch.cat([FEW[:1].expand(112, 8), FEW[1:2]]),
}


@cache
def in_float64(name, alpha, diagonal):
    """A teacher's log histogram, the divergence of a codebook from it, and its gradient."""
    teacher = pair_log_sums64(normal(1, 50, 16) + 0.5, CENTRES, alpha).log_softmax(0)
    codes = BOOKS[name].double().requires_grad_()
    student = pair_log_sums64(codes, CENTRES, alpha, diagonal).log_softmax(0)
    divergence = (teacher.exp() * (teacher - student)).sum()
    divergence.backward()
    return teacher, divergence.item(), codes.grad


def errors(name, alpha, diagonal=False):
    """Of the loss and of its gradient, relative."""
    teacher, wanted, gradient = in_float64(name, alpha, diagonal)
    codes = BOOKS[name].clone().requires_grad_()
    loss = histogram_relation_loss(codes, teacher.exp(), alpha=alpha, include_diagonal=diagonal)
    loss.backward()
    return abs(loss.item() / wanted - 1), float((codes.grad - gradient).norm() / gradient.norm())


@catches(SUBJECT, "total.add_(count(index, position), alpha=2.0)", "total.add_(count(index, position))")
@catches(SUBJECT, "alpha=1.0 if include_diagonal else -1.0", "alpha=-1.0")
@catches(SUBJECT, "weights[:-1] += number - moment", "weights[:-1] += number")
@catches(SUBJECT, "CELLS = 16384", "CELLS = 64")
@catches(SUBJECT, "gradient[:, rows] += turned[:, columns] @ slope.T", "pass")
def test_a_spread_codebook_has_the_documented_accuracy():
    for alpha, diagonal in ((10.0, False), (800.0, True)):
        value, gradient = errors("spread", alpha, diagonal)
        assert value < 1e-5
        assert gradient < 1e-4


@catches(SUBJECT, "low = (2.0 * closest.square() - 1.0 - _MARGIN)", "low = (0.0 * closest - 1.0)")
@catches(SUBJECT, "torch.addcmul(value, increment, position, out=position)", "value.clone()")
def test_clustered_codebooks_are_as_accurate():
    for name in ("one cluster", "three clusters", "nearly orthogonal"):
        for alpha in (10.0, 190.0, 800.0):
            value, gradient = errors(name, alpha)
            assert value < 1e-5
            assert gradient < 1e-4


@catches(SUBJECT, "squared.mul_(-alpha).add_(log_weights).add_(overshoot)", "squared.mul_(-alpha).add_(log_weights)")
@catches(SUBJECT, "sub_(log_sums[bins, None])", "sub_(log_sums[0])")
@catches(SUBJECT, "weights[bins] @ share", "weights[: len(offset)] @ share")
def test_few_codes_are_as_accurate_equal_or_nearly_equal_ones_too():
    for name in (name for name in BOOKS if "few" in name or "but one" in name):
        for alpha in (10.0, 190.0, 800.0):
            value, gradient = errors(name, alpha, diagonal=alpha > 10)
            assert value < 1e-5, (name, alpha)
            assert gradient < 1e-4, (name, alpha)


def test_equal_codes_pull_nowhere():
    codes = normal(2, 1, 8).repeat(113, 1).requires_grad_()
    loss = histogram_relation_loss(codes, normal(1, 50, 16), alpha=190.0)
    exact = histogram_relation_loss(codes, normal(1, 50, 16), alpha=190.0, exact=True)
    assert abs(loss - exact) < 1e-5 * exact
    loss.backward()
    assert codes.grad.abs().max() < 1e-4


@catches(SUBJECT, "slice(start, start + size)", "slice(start, start + size - 1)")
@catches(SUBJECT, "range(0, bins, size)", "range(0, bins - size, size)")
def test_any_number_of_bins_is_counted():
    for bins in (2, 7, 8, 9, 41):
        counted, exact = (relation_histogram(FEW, bins=bins, alpha=60.0, exact=exact) for exact in (False, True))
        torch.testing.assert_close(counted, exact, atol=1e-6, rtol=1e-5)


@catches(SUBJECT, "CELLS - 2.0**-9)", "CELLS - 0.5)")
def test_by_hand_at_both_ends():
    """150 codes and 150 opposed ones: 22350 pairs at cosine 1, 22500 at -1, each exp(-190 (cosine - b)^2) at bin b."""
    unit = torch.tensor([[0.6, 0.8]]) * torch.ones(300, 1).index_fill(0, torch.arange(150), -1.0)
    got = CountedLogSums.apply(unit, CENTRES, 190.0, False).float()
    for bins, pairs, cosine in ((slice(0, 8), 22500.0, -1), (slice(-8, None), 22350.0, 1)):
        wanted = math.log(pairs) - 190 * (cosine - CENTRES[bins]) ** 2
        torch.testing.assert_close(got[bins], wanted, atol=1e-4, rtol=1e-5)


@settings(max_examples=15)
@given(st.integers(0, 1000), st.floats(5, 800))
def test_counting_agrees_with_evaluating(seed, alpha):
    codes = normal(seed, 280, 1 + seed % 9)
    counted = relation_histogram(codes, alpha=alpha)
    exact = relation_histogram(codes, alpha=alpha, exact=True)
    assert (counted - exact).abs().max() < 1e-5 * exact.max()


@catches("vistok.losses.histogram_relation", "_SHARPEST_COUNTED_ALPHA = 3e3", "_SHARPEST_COUNTED_ALPHA = 1e5")
def test_the_sharpest_kernels_are_as_accurate():
    """Cells are too coarse for them: from some alpha on each pair is evaluated."""
    for alpha in (3e3, 1e4):
        value, gradient = errors("nearly orthogonal", alpha)
        assert value < 1e-5
        assert gradient < 1e-4


TIGHT = {
    "opposed": torch.ones(160, 8) * (1 - 2 * (torch.arange(160) % 2)).unsqueeze(1),
    "orthogonal": torch.eye(8)[torch.arange(160) % 8] * 8**0.5,
    "three": CLUSTERS[torch.arange(160) % 3],
}


def error_in_float64(codes, alpha):
    """Of the counted gradient, without the rounding that the exact one shares."""
    gradients = []
    for exact in (True, False):
        own = codes.double().requires_grad_()
        histogram_relation_loss(own, normal(1, 50, 16).double() + 0.5, alpha=alpha, exact=exact).backward()
        gradients.append(own.grad)
    return float((gradients[1] - gradients[0]).norm() / gradients[0].norm())


@catches(SUBJECT, "CELLS = 16384", "CELLS = 8192")
def test_in_tight_clusters_the_error_of_the_gradient_grows_with_the_square_of_alpha():
    worst = dict.fromkeys((190.0, 760.0, 1500.0, 3000.0), 0.0)
    for name, centres in TIGHT.items():
        for size in (1e-3, 3e-3, 1e-2):
            codes = centres + size * normal(9, 160, 8)
            for alpha in worst:
                error = error_in_float64(codes, alpha)
                assert error < 3e-2 * (alpha / 3000) ** 2 + 1e-4, (name, size, alpha)
                worst[alpha] = max(worst[alpha], error)
    assert worst[190.0] < 2e-4
    assert 1e-2 < worst[3000.0] < 3e-2
    assert 50 < worst[3000.0] / worst[190.0] < (3000 / 190) ** 2 * 1.2


def test_the_loss_of_tight_clusters_is_as_near_as_any():
    for centres in TIGHT.values():
        for alpha in (190.0, 3000.0):
            codes = centres + 3e-3 * normal(9, 160, 8)
            counted, exact = (
                histogram_relation_loss(codes, normal(1, 50, 16) + 0.5, alpha=alpha, exact=exact)
                for exact in (False, True)
            )
            assert abs(counted / exact - 1) < 1e-5
