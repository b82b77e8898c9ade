"""The vector quantizer's lookup and gradients; how its codebook learns is in test_vector_learning.py."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import distances64, unit64
from _support.mutants import catches
from _support.strategies import normal, seeded, seeds
from vistok.quantizers import VectorQuantizer

SUBJECT = "vistok.quantizers.vector"


def build(seed=0, **kwargs):
    return VectorQuantizer(16, 3, generator=seeded(seed), **kwargs)


def test_codes_are_the_rows_of_the_indices():
    for metric in ("euclidean", "cosine"):
        quantizer = VectorQuantizer(20, 4, metric=metric, generator=seeded(0))
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


@catches("vistok.quantizers._precision", "torch.inf, length)", "torch.inf, length.square())")
@catches(SUBJECT, "metric=self.metric, token_block", "token_block")
@catches(SUBJECT, "self._scaled(F.embedding(indices,", "(F.embedding(indices,")
def test_lookup_by_hand():
    """Codes (3, 4) and (0, -2); features (6, 7) and (1, -1)."""
    z = torch.tensor([[6.0, 7.0], [1.0, -1.0]])
    for metric, codes in (("euclidean", [[3.0, 4.0], [0.0, -2.0]]), ("cosine", [[0.6, 0.8], [0.0, -1.0]])):
        quantizer = VectorQuantizer(2, 2, metric=metric)
        quantizer.codebook.data.copy_(torch.tensor([[3.0, 4.0], [0.0, -2.0]]))
        out = quantizer(z)
        assert out.indices.tolist() == [0, 1]
        assert torch.allclose(out.codes, torch.tensor(codes))


@catches("vistok.quantizers.quantized", "codes.detach() + (z - z.detach())", "codes + (z - z.detach())")
@catches("vistok.quantizers.quantized", "codes.detach() + (z - z.detach())", "codes.detach() + (z - z).detach()")
@catches(SUBJECT, "self.weight.detach() if self.frozen else self.weight", "self.weight.detach()")
def test_gradients_take_their_own_ways():
    for metric in ("euclidean", "cosine"):
        quantizer = VectorQuantizer(12, 3, metric=metric, generator=seeded(0))
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


@catches("vistok.quantizers._tokens", "codes = lookup(indices)", "codes = lookup(indices).roll(1, 0)")
@given(seeds, st.sampled_from(["cosine", "euclidean"]))
def test_no_code_is_nearer_than_the_chosen_one(seed, metric):
    quantizer = build(seed, metric=metric)
    z = normal(seed, 7, 3)
    features, codes = quantizer.to_code_space(z), quantizer(z).codes
    table = quantizer.indices_to_codes(torch.arange(16))
    distance = (features - codes).square().sum(1)
    assert (distance <= (features.unsqueeze(1) - table).square().sum(2).amin(1) + 1e-6).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codebook_size": 0}, "codebook_size must be a whole number of at least 1, got 0"),
        ({"codebook_size": 16.0}, r"codebook_size must be a whole number of at least 1, got 16\.0"),
        ({"code_dim": 0}, "code_dim must be a whole number of at least 1, got 0"),
        ({"metric": "dot"}, "metric must be 'cosine' or 'euclidean', got 'dot'"),
        ({"learning": "adam"}, "learning must be 'gradient' or 'ema', got 'adam'"),
        ({"decay": 1.0}, r"decay must be in \[0, 1\), got 1\.0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VectorQuantizer(**{"codebook_size": 4, "code_dim": 2, **arguments})


@catches(SUBJECT, 'check_token_block(token_block, "VectorQuantizer")', "pass")
def test_a_block_of_no_token_is_refused_at_once():
    with pytest.raises(ValueError, match=r"^VectorQuantizer: token_block must be at least 1, got -3$"):
        build(token_block=-3)


def test_the_first_codebook_is_uniform_and_of_unit_length_for_cosine():
    plain = VectorQuantizer(1000, 4, metric="euclidean", generator=seeded(0)).codebook
    assert plain.abs().max() <= 1 / 1000
    assert plain.abs().max() > 0.99 / 1000
    length = VectorQuantizer(1000, 4, generator=seeded(0)).codebook.norm(dim=1)
    torch.testing.assert_close(length, torch.ones(1000))
    assert torch.equal(build(3).codebook, build(3).codebook)
    assert not torch.equal(build(3).codebook, build(4).codebook)


@pytest.mark.parametrize(("learning", "parameters"), [("gradient", 1), ("ema", 0)])
def test_the_codebook_is_a_parameter_only_when_learned_by_gradient(learning, parameters):
    quantizer = build(learning=learning)
    assert len(list(quantizer.parameters())) == parameters
    assert quantizer.codebook.shape == (16, 3)
    quantizer.freeze()
    assert not quantizer.codebook.requires_grad
    quantizer.unfreeze()
    assert quantizer.codebook.requires_grad == (learning == "gradient")


@catches(SUBJECT, "            self.weight.grad = None\n", "")
def test_no_step_of_the_optimizer_moves_frozen_codes():
    quantizer = build()
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=0.1)
    quantizer(normal(0, 30, 3)).codes.sum().backward()
    before = quantizer.codebook.detach().clone()
    quantizer.freeze()
    optimizer.step()
    assert torch.equal(quantizer.codebook, before)


@catches(SUBJECT, "self.weight.detach() if self.frozen else self.weight", "self.weight")
def test_a_parent_that_asks_for_gradients_does_not_let_frozen_codes_learn():
    quantizer = build()
    quantizer.freeze()
    torch.nn.Sequential(quantizer).requires_grad_(True)
    z = normal(0, 30, 3).requires_grad_()
    out = quantizer(z)
    assert not out.codes.requires_grad
    (out.quantized.square().sum() + out.codes.sum()).backward()
    assert z.grad.any()
    assert quantizer.codebook.grad is None


@catches(SUBJECT, "self.frozen = True\n        self._forget_pending()", "self.frozen = True")
@pytest.mark.parametrize("learning", ["gradient", "ema"])
def test_what_was_seen_before_freezing_moves_no_code_after_it(learning):
    quantizer = build(learning=learning)
    quantizer(normal(0, 30, 3))
    quantizer.freeze()
    quantizer.update()
    quantizer.unfreeze()
    before = quantizer.codebook.detach().clone()
    quantizer.update()
    assert torch.equal(quantizer.codebook, before)
    assert (quantizer.steps_unused == 1).all()


@catches(SUBJECT, "if self.frozen:\n            raise", "if False:\n            raise")
def test_a_frozen_codebook_is_not_initialized():
    quantizer = build()
    quantizer.freeze()
    expected = r"^VectorQuantizer\.initialize: the codebook is frozen; call unfreeze\(\) first$"
    with pytest.raises(ValueError, match=expected):
        quantizer.initialize(normal(0, 30, 3), generator=seeded(0))
    quantizer.unfreeze()
    quantizer.initialize(normal(0, 30, 3), generator=seeded(0))


@catches("vistok.quantizers._precision", "SHRINK, 1.0)", "1.0, 1.0)")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_whose_squares_overflow_find_the_code_of_their_direction(dtype):
    quantizer, z = build(), normal(0, 40, 3).to(dtype)
    long = (z * 2.0**66).requires_grad_()  # about 1e20
    out = quantizer(long)
    assert torch.equal(out.indices, quantizer(z).indices)
    out.quantized.sum().backward()
    assert long.grad.isfinite().all()


def test_distinct_codes_have_a_zero_error_fixed_point():
    quantizer = build(metric="euclidean")
    quantizer.codebook.data.copy_(normal(0, 16, 3))
    out = quantizer(quantizer.codebook.detach())
    assert out.indices.tolist() == list(range(16))
    assert torch.equal(out.codes, quantizer.codebook)


@catches(SUBJECT, "if self.training and not self.frozen:", "if not self.frozen:")
@catches(SUBJECT, "if self.training and not self.frozen:", "if self.training:")
@catches(SUBJECT, "            dead = dead[:0]\n", "            pass\n")
def test_evaluation_and_freezing_change_nothing():
    for learning in ("gradient", "ema"):
        for stop in ("eval", "freeze"):
            quantizer = VectorQuantizer(8, 3, learning=learning, generator=seeded(0))
            getattr(quantizer, stop)()
            quantizer.steps_unused += 7
            before = {name: value.clone() for name, value in quantizer.state_dict().items()}
            quantizer(normal(0, 30, 3))
            if stop == "freeze":
                quantizer.update()
                assert quantizer.revive(normal(1, 30, 3), generator=seeded(0)).numel() == 0
                assert not quantizer.codebook.requires_grad
            for name, value in quantizer.state_dict().items():
                assert torch.equal(value, before[name]), name


@catches(SUBJECT, "in (torch.float16, torch.bfloat16)", "in ()")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_moving_average_in_half_precision_goes_where_it_goes_in_float32(dtype):
    """Two clusters at 3 and -3 of 600 features each: more than bfloat16 can count one by one."""
    z = torch.tensor([[3.0]] * 600 + [[-3.0]] * 600)
    books = []
    for kind in (torch.float32, dtype):
        quantizer = VectorQuantizer(2, 1, metric="euclidean", learning="ema", decay=0.5)
        quantizer.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        quantizer.to(kind)
        for _ in range(12):
            quantizer(z.to(kind))
            quantizer.update()
        assert quantizer.weight.dtype == kind
        assert {getattr(quantizer, name).dtype for name in ("pending_sum", "ema_count", "ema_sum")} == {torch.float32}
        books.append(quantizer.weight.float())
    torch.testing.assert_close(*books, atol=0.02, rtol=0)
    assert books[0].flatten().tolist() == pytest.approx([3.0, -3.0], abs=0.01)


def test_a_module_of_doubles_averages_in_doubles():
    assert VectorQuantizer(2, 1, learning="ema").double().ema_sum.dtype == torch.float64
