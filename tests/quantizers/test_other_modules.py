"""What the remaining modules refuse, and the sentences of their docstrings that no shared test covers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.strategies import normal, seeds
from vistok.quantizers import (
    BinarySphericalQuantizer,
    CodebookUsage,
    DualQuantizer,
    FiniteScalarQuantizer,
    IndexBackpropagationQuantizer,
    LookupFreeQuantizer,
    ProjectedVectorQuantizer,
    ResidualRecovery,
    ResidualVectorQuantizer,
    k_means,
    nearest_codes,
    straight_through,
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BinarySphericalQuantizer(7, num_groups=2), "num_groups must divide bits"),
        (lambda: BinarySphericalQuantizer(63), "at most 62 bits"),
        (lambda: LookupFreeQuantizer(19), "at most 18 bits"),
        (lambda: FiniteScalarQuantizer([2, 5]), "levels must be at least 3"),
        (lambda: FiniteScalarQuantizer([]), "levels must be at least 3"),
        (lambda: FiniteScalarQuantizer([3.5]), r"levels must be at least 3 and whole, .* got \[3\.5\]"),
        (lambda: FiniteScalarQuantizer([2**16] * 4), r"product up to 2\^62"),
        (lambda: IndexBackpropagationQuantizer(4, 2, temperature=0.0), "temperature"),
        (lambda: IndexBackpropagationQuantizer(0, 2), "at least 1"),
        (lambda: ProjectedVectorQuantizer(4, 0), "got 4 and 0"),
        (lambda: ResidualVectorQuantizer(4, 2, num_stages=0), "got 4, 2 and 0"),
        (lambda: ResidualRecovery(8, (4, 4), width=30, heads=8), "heads must divide width"),
        (lambda: ResidualRecovery(8, (0, 4)), "at least 1"),
        (lambda: CodebookUsage(0), "got 0 and 1"),
        (lambda: DualQuantizer(0, 4, 8), "codebook_size must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@given(seeds)
def test_wide_binary_tokens_survive_the_round_trip_in_integers(seed):
    quantizer = BinarySphericalQuantizer(62)
    z = normal(seed, 5, 62)
    out = quantizer(z)
    assert torch.equal(quantizer.indices_to_codes(out.indices), out.codes)
    assert (out.indices >= 0).all()
    torch.testing.assert_close(out.codes.norm(dim=1), torch.ones(5))


def test_lookup_free_codes_are_the_signs_with_the_highest_bit_first():
    z = normal(0, 40, 6)
    out = LookupFreeQuantizer(6)(z)
    assert torch.equal(out.codes, torch.where(z > 0, 1.0, -1.0))
    assert out.indices.tolist() == [sum(int(b) << (5 - k) for k, b in enumerate(row)) for row in (z > 0)]


@given(seeds, st.lists(st.integers(3, 9), min_size=1, max_size=5))
def test_finite_scalar_codes_follow_the_formula(seed, levels):
    z = normal(seed, 12, len(levels)) * 3
    out = FiniteScalarQuantizer(levels)(z)
    count = torch.tensor(levels).double()
    reach, offset = (count - 1) * 1.001 / 2, (count % 2 == 0) * 0.5
    bounded = torch.tanh(z.double() + torch.atanh(offset / reach)) * reach - offset
    near_a_tie = ((bounded - bounded.floor()) - 0.5).abs() < 1e-4
    digits = bounded.round()
    wanted = digits / (count // 2)
    assert (near_a_tie | ((out.codes - wanted).abs() < 1e-6)).all()
    assert out.codes.abs().max() <= 1
    digits = (out.codes.double() * (count // 2)).round() + count // 2
    basis = torch.cat([torch.ones(1), count[:-1].cumprod(0)])
    assert torch.equal(out.indices, (digits * basis).sum(1).long())


def test_finite_scalar_gradient_passes_the_rounding_and_not_the_bound():
    quantizer = FiniteScalarQuantizer([5, 8])
    z = normal(0, 9, 2).requires_grad_()
    quantizer(z).quantized.sum().backward()
    again = z.detach().clone().requires_grad_()
    quantizer.to_code_space(again).sum().backward()
    torch.testing.assert_close(z.grad, again.grad)


def test_residual_stages_are_greedy():
    quantizer = ResidualVectorQuantizer(9, 3, num_stages=3, generator=torch.Generator().manual_seed(0))
    for stage, codebook in enumerate(quantizer.codebooks):
        codebook.data.copy_(normal(stage, 1, 9, 3) / 2**stage)
    z = normal(9, 30, 3)
    out = quantizer(z)
    residual = z.double()
    for stage, codebook in enumerate(quantizer.codebooks):
        chosen = (residual.unsqueeze(1) - codebook[0].detach().double()).square().sum(2).argmin(1)
        assert torch.equal(out.indices[:, stage], chosen)
        residual = residual - codebook[0].detach().double()[chosen]
    torch.testing.assert_close(out.codes.double(), z.double() - residual, atol=1e-6, rtol=0)
    out.codes.sum().backward()
    for stage, codebook in enumerate(quantizer.codebooks):
        count = torch.bincount(out.indices[:, stage], minlength=9).float()
        torch.testing.assert_close(codebook.grad[0], count.unsqueeze(1).expand(9, 3))


def test_straight_through_does_not_broadcast():
    for z, codes in ((torch.zeros(2, 1), torch.zeros(2, 3)), (torch.zeros(2, 3), torch.zeros(3))):
        with pytest.raises(ValueError, match="z and codes must have the same shape, got"):
            straight_through(z, codes)


@pytest.mark.parametrize("thing", [None, np.zeros((4, 3), np.float32), torch.zeros(4, 3).to_sparse()])
def test_functions_name_what_is_no_dense_tensor(thing):
    dense = torch.zeros(4, 3)
    calls = {
        "z": lambda: straight_through(thing, dense),
        "codes": lambda: straight_through(dense, thing),
        "rows": lambda: nearest_codes(thing, dense),
        "codebook": lambda: nearest_codes(dense, thing),
        "stages": lambda: ResidualVectorQuantizer(9, 3, num_stages=2).stages_to_indices(thing),
    }
    for name, call in calls.items():
        with pytest.raises(TypeError, match=f"{name} must be a dense tensor, got"):
            call()
    with pytest.raises(TypeError, match="rows must be a dense tensor, got"):
        k_means(thing, 2, generator=torch.Generator())


def test_stages_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"stages must be \(\*, 2, 3\), got \(4, 3\)"):
        ResidualVectorQuantizer(9, 3, num_stages=2).stages_to_indices(torch.zeros(4, 3))


def test_positions_are_interpolated_to_another_grid_and_flat_input_is_refused():
    module = ResidualRecovery(8, (4, 4), width=16, heads=2)
    torch.nn.init.normal_(module.project_out.weight)
    assert module(torch.zeros(1, 8, 4, 5)).shape == (1, 8, 4, 5)
    with torch.no_grad():
        module.positions.copy_(torch.linspace(-1, 1, 16).expand(16, 16))  # the same at every position
    residual = module(torch.zeros(1, 8, 6, 2)).flatten(2)
    expected = module(torch.zeros(1, 8, 4, 4)).flatten(2)[..., :1]
    torch.testing.assert_close(residual, expected.expand_as(residual), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match=r"expected \(B, 8, h, w\), got \(1, 8, 16\)"):
        module(torch.zeros(1, 8, 16))


def test_only_the_last_layer_of_a_new_residual_module_gets_a_gradient():
    module = ResidualRecovery(3, (2, 2), width=8, heads=2)
    module(normal(0, 1, 3, 2, 2)).sum().backward()
    moved = {name for name, p in module.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"project_out.weight", "project_out.bias"}


def test_residual_recovery_keeps_the_dtype_of_its_input_under_autocast():
    module = ResidualRecovery(3, (2, 2), width=8, heads=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module(normal(0, 1, 3, 2, 2)).dtype == torch.float32


def test_usage_refuses_what_it_cannot_count():
    with pytest.raises(TypeError, match="integer tensor"):
        CodebookUsage(4)(torch.zeros(3))
    with pytest.raises(ValueError, match="last dimension of indices must be 2"):
        CodebookUsage(4, 2)(torch.zeros(3, dtype=torch.int64))
    for bad in (4, -1):
        with pytest.raises(ValueError, match=r"CodebookUsage: indices must lie in 0 \.\. 3, got values from"):
            CodebookUsage(4)(torch.tensor([0, bad]))


@given(st.integers(1, 40), seeds)
def test_usage_and_perplexity_stay_in_their_range(size, seed):
    usage = CodebookUsage(size)
    usage(torch.randint(0, size, (30,), generator=torch.Generator().manual_seed(seed)))
    report = usage.report()
    assert 0 < report.usage.item() <= 1
    assert 1 - 1e-9 <= report.perplexity.item() <= size + 1e-9
    assert ((report.bit_balance >= 0) & (report.bit_balance <= 1 + 1e-12)).all()
