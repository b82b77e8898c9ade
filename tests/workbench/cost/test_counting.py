"""FLOPs and bytes of a step, held to numbers by hand and to real tensors."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from _support.mutants import catches
from vistok.workbench.cost.counting import LiveBytes, count, counted_flops

SUBJECT = "vistok.workbench.cost.counting"


def flops_of(network: nn.Module, x: torch.Tensor) -> int:
    return count(lambda: network(x).sum().backward(), network.parameters(), [network]).flops


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_product_and_a_convolution_cost_twice_their_multiplications_forward_and_for_each_gradient(device):
    with torch.device(device):
        linear, convolution = nn.Linear(5, 7), nn.Conv2d(3, 4, 3, padding=1)
        vectors, images = torch.zeros(11, 5, requires_grad=True), torch.zeros(2, 3, 6, 6, requires_grad=True)
    assert flops_of(linear, vectors) == 3 * 2 * 11 * 5 * 7
    assert flops_of(convolution, images) == 3 * 2 * (2 * 6 * 6) * 4 * 3 * 9
    assert flops_of(linear, vectors.detach()) == 2 * 2 * 11 * 5 * 7  # the input wants no gradient


@catches(SUBJECT, "custom_mapping=_CPU_ATTENTION", "custom_mapping={}")
@catches(SUBJECT, "return int(sdpa_backward_flop_count(gradient, ", "return int(sdpa_flop_count(")
def test_the_fused_attention_of_the_cpu_counts_two_products_forward_and_five_backward():
    q = torch.randn(2, 3, 16, 8, requires_grad=True)
    with counted_flops() as flops:
        F.scaled_dot_product_attention(q, q, q).sum().backward()
    assert flops == {torch.float32: 7 * 2 * (2 * 3) * 16 * 16 * 8}


@catches(SUBJECT, "for dtype in (torch.float32, torch.float64)", "for dtype in (torch.float64,)")
@catches(SUBJECT, "self.found[dtype] = self.found.get(dtype, 0) + flops", "self.found[dtype] = flops")
def test_products_in_float32_are_told_from_others():
    wide, narrow = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False, dtype=torch.bfloat16)
    x = torch.zeros(1, 4)

    def step():
        (wide(x).sum() + wide(x).sum() + narrow(x.bfloat16()).sum()).backward()

    counts = count(step, [], [wide, narrow])
    assert counts.flops_float32 == 2 * 2 * 2 * 16
    assert counts.flops == counts.flops_float32 + 2 * 2 * 16


@catches(SUBJECT, "self.now -= size", "pass")
@catches(SUBJECT, "if place in self._alive or", "if")
@catches(SUBJECT, "self.peak = max(self.peak, self.now)", "self.peak = self.now")
@catches(SUBJECT, "or storage.device.type != self.device", "")
def test_what_is_alive_counts_and_what_is_shared_counts_once():
    with LiveBytes("meta") as memory:
        x = torch.empty(10, 10, device="meta")
        view, elsewhere = x.T[2:], torch.empty(1000)
        assert memory.now == 400
        y = x * 2
        z = y + 1
        assert memory.now == 1200
        del y, z
        assert memory.now == 400
        del x
        assert memory.now == 400  # the view holds it
        view = view + 1
        del view, elsewhere
    assert (memory.now, memory.peak) == (0, 1200)


@catches(SUBJECT, "if _place(tensor) not in kept:", "if True:")
def test_what_is_saved_is_the_input_and_what_the_activation_keeps_and_no_parameter():
    with torch.device("meta"):
        network, x = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 2)), torch.empty(8, 32)
    counts = count(lambda: network(x).sum().backward(), network.parameters(), [network])
    # the input, and the first activation once, though the ReLU and the second layer both keep it
    assert counts.saved == 4 * (8 * 32 + 8 * 64)


@catches(SUBJECT, "self.now - self._gradients)", "self.now)")
@catches(SUBJECT, "weakref.finalize(storage, self._free_gradient, storage.nbytes())", "pass")
def test_gradients_are_told_from_what_else_is_held():
    weight = nn.Parameter(torch.empty(100, 100, device="meta"))

    def step():
        for _ in range(3):
            weight.grad = None
            (weight * weight.detach()).sum().backward()
        torch.empty(9, 100, 100, device="meta")

    counts = count(step, [weight], [nn.ParameterList([weight])])
    assert counts.peak == 4 * 100 * 100 * (1 + 1 + 9)
    assert counts.peak_without_gradients == 4 * 100 * 100 * (1 + 9)


@catches(SUBJECT, "lambda: [hook.remove() for hook in hooks]", "lambda: None")
def test_nothing_is_left_on_the_parameters():
    network = nn.Linear(2, 2, device="meta")
    count(lambda: network(torch.empty(1, 2, device="meta")).sum().backward(), [], [network])
    assert not any(p._post_accumulate_grad_hooks for p in network.parameters())
