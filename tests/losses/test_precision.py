"""The float32 island, and directions of vectors of any size."""

import pytest
import torch
from hypothesis import given

from _support.every_loss import FIRST, LOSSES
from _support.float64 import unit64
from _support.mutants import catches
from _support.pretended_cuda import OnCuda
from _support.strategies import normal, tensors
from _support.tf32 import Products, products_on_a_card, tf32_is_on, tf32_on
from vistok.losses import (
    bit_entropy,
    entropy,
    histogram_relation_loss,
    lookup_free_entropy_loss,
    vector_entropy_loss,
)
from vistok.losses._precision import autocast_off, not_below_zero, unit_directions, widen

SUBJECT = "vistok.losses._precision"


@catches(SUBJECT, "enabled=False", "enabled=True")
def test_autocast_is_off_inside_and_on_again_behind():
    a = normal(0, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with autocast_off(a):
            assert (a @ a).dtype == torch.float32
        assert (a @ a).dtype == torch.bfloat16
        with autocast_off(a.to("meta")):
            pass


@catches(SUBJECT, "setattr(_MATMUL, _TF32, _OFF)", "pass")
@catches(SUBJECT, "finally:\n        setattr(_MATMUL, _TF32, _ON)", "finally:\n        pass")
@catches(SUBJECT, "if tensor.is_cuda and", "if")
def test_tf32_is_off_inside_on_cuda_and_on_again_behind():
    on_cpu, on_cuda = torch.ones(2), torch.ones(2).as_subclass(OnCuda)
    with tf32_on():
        with autocast_off(on_cpu):
            assert tf32_is_on()
        with autocast_off(on_cuda), autocast_off(on_cuda):
            assert not tf32_is_on()
        assert tf32_is_on()
        with pytest.raises(KeyError), autocast_off(on_cuda):
            raise KeyError
        assert tf32_is_on()
    with autocast_off(on_cuda):
        assert not tf32_is_on()
    assert not tf32_is_on()


@catches(SUBJECT, "with autocast:", "if True:")
def test_autocast_is_off_where_tf32_is_switched_off():
    a = normal(0, 4, 4)
    with tf32_on(), torch.autocast("cpu", dtype=torch.bfloat16), autocast_off(a.as_subclass(OnCuda)):
        assert (a @ a).dtype == torch.float32


@catches(SUBJECT, "and not torch.compiler.is_compiling() ", "")
def test_a_graph_that_is_compiled_keeps_the_setting(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with tf32_on(), autocast_off(torch.ones(2).as_subclass(OnCuda)):
        assert tf32_is_on()


@pytest.mark.parametrize("name", LOSSES)
def test_no_product_of_a_loss_is_rounded_to_tf32(name):
    with products_on_a_card() as products:
        LOSSES[name](FIRST)
    assert not products.rounded
    assert products.count or name not in ("contrastive", "vector_entropy", "lookup_free_entropy", "histogram_relation")


@catches("vistok.losses._token_blocks", "with autocast_off(tokens), torch.enable_grad():", "with torch.enable_grad():")
@catches("vistok.losses._counted_pairs", "with autocast_off(unit):", "if True:")
@catches("vistok.losses._exact_pairs", "with autocast_off(unit):", "if True:")
def test_what_is_computed_in_blocks_is_not_rounded_to_tf32_in_its_backward_pass(monkeypatch):
    monkeypatch.setattr(entropy, "_BLOCK_ELEMENTS", 8)
    monkeypatch.setattr(bit_entropy, "_BLOCK_ELEMENTS", 8)
    for loss, tokens in (
        (lambda x: vector_entropy_loss(x, x[:4].detach()), 9),
        (lookup_free_entropy_loss, 9),
        (lambda x: histogram_relation_loss(x, torch.ones(40)), 20),
        (lambda x: histogram_relation_loss(x, torch.ones(40)), 120),
    ):
        x = normal(0, tokens, 4).as_subclass(OnCuda).requires_grad_()
        with tf32_on(), Products() as products:
            value = loss(x)
            forward = products.count
            value.backward()
        assert not products.rounded
        assert products.count > forward > 0


@catches(SUBJECT, "tensor if tensor.dtype == torch.float64 else tensor.float()", "tensor.float()")
def test_everything_but_float64_becomes_float32():
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert widen(torch.ones(2, dtype=dtype)).dtype == torch.float32
    assert widen(torch.ones(2, dtype=torch.float64)).dtype == torch.float64


@catches(SUBJECT, "loss - loss.detach()", "0.0 * loss")
@catches(SUBJECT, "loss - loss.detach()", "loss")
def test_what_rounding_put_below_zero_is_zero_with_its_gradient():
    for value, wanted in ((-1e-7, 0.0), (0.0, 0.0), (2.0, 2.0)):
        loss = torch.tensor(value, requires_grad=True)
        (3 * not_below_zero(loss)).backward()
        assert not_below_zero(loss).item() == wanted
        assert loss.grad.item() == 3


@catches(SUBJECT, "scaled = vectors * torch.where(is_zero, 0.0, largest.reciprocal())", "scaled = vectors")
def test_directions_are_those_of_float64_whatever_the_length():
    for length in (1e-25, 1e-3, 1.0, 1e30):
        vectors = normal(0, 6, 4) * length
        torch.testing.assert_close(unit_directions(vectors, dim=1).double(), unit64(vectors), atol=1e-6, rtol=1e-5)
        turned = unit_directions(vectors.T, dim=0).T
        torch.testing.assert_close(turned, unit_directions(vectors, dim=1))


def test_by_hand():
    assert unit_directions(torch.tensor([3.0, 4.0]), dim=0).tolist() == [0.6000000238418579, 0.800000011920929]


@catches(SUBJECT, "is_zero = largest < SMALLEST_COMPONENT", "is_zero = largest < 0")
@catches(SUBJECT, "SMALLEST_COMPONENT = 1e-30", "SMALLEST_COMPONENT = 0.0")
def test_a_zero_vector_stays_zero_and_gets_no_gradient():
    for size in (0.0, 1e-40):
        vectors = torch.tensor([[size, 0.0], [1.0, 2.0]], requires_grad=True)
        got = unit_directions(vectors, dim=1)
        got[:, 0].sum().backward()
        assert not got[0].any()
        assert not vectors.grad[0].any()
        assert vectors.grad[1].any()


def test_a_component_that_is_not_finite_makes_the_vector_nan():
    for bad in (float("nan"), float("inf")):
        got = unit_directions(torch.tensor([[bad, 1.0], [1.0, 0.0]]), dim=1)
        assert got[0].isnan().any()
        assert got[1].tolist() == [1.0, 0.0]


@given(tensors((3, 4), limit=2.0**100))
def test_length_is_one_or_zero_and_the_gradient_finite_and_orthogonal(vectors):
    vectors.requires_grad_()
    unit = unit_directions(vectors, dim=1)
    length = unit.norm(dim=1)
    assert (((length - 1).abs() < 1e-5) | (length == 0)).all()
    (unit * normal(0, 3, 4)).sum().backward()
    assert torch.isfinite(vectors.grad).all()
    largest = vectors.detach().abs().amax(1, keepdim=True).clamp_min(1e-30)
    along = (vectors.grad * largest * (vectors / largest)).sum(1)
    assert along.abs().max() < 1e-4
