"""Index backpropagation: the gradient of the dense formula, in blocks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.pretended_cuda import OnCuda
from _support.strategies import normal, seeded, seeds
from _support.tf32 import Products, products_on_a_card, tf32_on
from vistok.quantizers import IndexBackpropagationQuantizer

SUBJECT = "vistok.quantizers.index_backpropagation"


def dense(z, table, temperature):
    """The formula with tokens x codes written out."""
    logits = z @ table.t()
    p = (logits / temperature).softmax(1)
    hard = torch.nn.functional.one_hot(logits.argmax(1), len(table)).double()
    return logits.argmax(1), (hard + p - p.detach()) @ table


@catches(SUBJECT, 'metric="dot"', 'metric="euclidean"')
@catches(SUBJECT, "towards.sub_(mean)", "towards")
@catches(SUBJECT, "mul_(towards.sub_(mean)).div_(ctx.temperature)", "mul_(towards.sub_(mean))")
@catches(SUBJECT, "(hard + through_softmax", "(hard.detach() + through_softmax")
def test_the_gradient_is_that_of_the_dense_formula():
    for temperature in (1.0, 0.3):
        z, up = normal(0, 11, 3).requires_grad_(), normal(1, 11, 3)
        quantizer = IndexBackpropagationQuantizer(7, 3, temperature=temperature, token_block=4)
        quantizer.codebook.data.copy_(normal(2, 7, 3))
        out = quantizer(z)
        (out.quantized * up).sum().backward()
        z64 = z.detach().double().requires_grad_()
        table = quantizer.codebook.detach().double().requires_grad_()
        chosen, wanted = dense(z64, table, temperature)
        (wanted * up).sum().backward()
        assert torch.equal(out.indices, chosen)
        assert torch.allclose(out.quantized.double(), wanted, atol=1e-6)
        assert torch.equal(out.quantized, out.codes)
        assert torch.allclose(z.grad.double(), z64.grad, atol=1e-5)
        assert torch.allclose(quantizer.codebook.grad.double(), table.grad, atol=1e-5)


@catches(SUBJECT, "p.sub_(p.amax(1, keepdim=True)).exp_()", "p.exp_().sqrt_()")
def test_by_hand():
    """Codes +1 and -1 and a token of 0: p is a half each; g = 1 gives dz = sum p (c - 0) c = 1."""
    quantizer = IndexBackpropagationQuantizer(2, 1)
    quantizer.codebook.data.copy_(torch.tensor([[1.0], [-1.0]]))
    z = torch.zeros(1, 1, requires_grad=True)
    out = quantizer(z)
    out.quantized.sum().backward()
    assert out.indices.tolist() == [0]
    assert z.grad.item() == 1.0
    assert quantizer.codebook.grad.flatten().tolist() == [1.0, 0.0]
    far = IndexBackpropagationQuantizer(2, 1)
    far.codebook.data.copy_(torch.tensor([[1.0], [-1.0]]))
    z = torch.tensor([[0.5]], requires_grad=True)
    far(z).quantized.sum().backward()
    p = 1 / (1 + torch.tensor(-1.0).exp())
    torch.testing.assert_close(z.grad.squeeze(), 4 * p * (1 - p))


@catches(SUBJECT, "grad_codebook.addmm_(d_logits.t(), z)", "grad_codebook = d_logits.t() @ z")
@given(seeds, st.integers(1, 12))
def test_every_code_gets_a_gradient_whatever_the_block_of_tokens(seed, block):
    gradients = []
    for size in (None, block):
        quantizer = IndexBackpropagationQuantizer(6, 3, generator=seeded(seed), token_block=size)
        quantizer(normal(seed, 10, 3)).quantized.square().sum().backward()
        gradients.append(quantizer.codebook.grad)
    assert gradients[0].any(1).all()
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-4)


@catches(SUBJECT, "self.token_block or max(1, elements // self.codebook_size)", "1 << 40")
def test_it_holds_a_block_of_scores(largest_tensor):
    quantizer = IndexBackpropagationQuantizer(4096, 4)
    z = normal(0, 1024, 4).requires_grad_()
    with largest_tensor as largest:
        quantizer(z).quantized.sum().backward()
    assert largest.elements <= 2**20


@catches(SUBJECT, 'if features.device.type == "cpu" else _ACCELERATOR_BLOCK_ELEMENTS', "")
def test_an_accelerator_gets_larger_blocks():
    quantizer, z = IndexBackpropagationQuantizer(4096, 4), normal(0, 1024, 4)
    found = []
    for watched in (Products(), products_on_a_card()):
        with watched as products:
            value = quantizer(z).quantized.sum()
            forward = products.count
            value.backward()
        found.append(products.count - forward)
    assert found == [4 * 4, 4]


@catches(SUBJECT, "with autocast_off(rows):", "if True:")
def test_no_product_is_rounded_to_tf32_in_the_backward_pass():
    quantizer, z = IndexBackpropagationQuantizer(7, 3), normal(0, 5, 3).as_subclass(OnCuda).requires_grad_()
    with tf32_on():
        value = quantizer(z).quantized.sum()
        with Products() as products:
            value.backward()
    assert products.count == 4
    assert not products.rounded


@catches(SUBJECT, "features.nan_to_num(0.0, 0.0, 0.0).reshape", "features.reshape")
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_token_that_is_not_finite_and_whose_loss_is_masked_adds_to_no_gradient(bad):
    z, quantizer = normal(0, 5, 3), IndexBackpropagationQuantizer(7, 3, generator=seeded(0))
    z[0, 1] = bad
    z.requires_grad_()
    quantizer(z).quantized[1:].square().sum().backward()
    found = quantizer.codebook.grad.clone()
    assert not z.grad[0].any()
    quantizer.zero_grad()
    quantizer(z.detach()[1:]).quantized.square().sum().backward()
    torch.testing.assert_close(found, quantizer.codebook.grad)


@catches(SUBJECT, 'check_token_block(token_block, "IndexBackpropagationQuantizer")', "pass")
def test_wrong_arguments_are_refused():
    for temperature in (0.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="temperature"):
            IndexBackpropagationQuantizer(4, 2, temperature=temperature)
    with pytest.raises(ValueError, match="codebook_size must be a whole number of at least 1, got 0"):
        IndexBackpropagationQuantizer(0, 2)
    with pytest.raises(ValueError, match=r"^IndexBackpropagationQuantizer: token_block must be at least 1, got 0$"):
        IndexBackpropagationQuantizer(4, 2, token_block=0)


@catches(SUBJECT, "with autocast_off(rows):", "if True:")
def test_backward_within_autocast_is_that_of_float32():
    quantizer = IndexBackpropagationQuantizer(7, 3)
    found = []
    for enabled in (False, True):
        z = normal(0, 2, 3, 5).requires_grad_()
        quantizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            (quantizer(z).quantized * normal(1, 2, 3, 5)).sum().backward()
        found.append((z.grad, quantizer.codebook.grad.clone()))
    assert all(map(torch.equal, *found))
