"""Tensors of the meta device as on a CUDA card: its paths and its mixed precision."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from _support.mutants import catches
from vistok.workbench.cost.counting import count
from vistok.workbench.cost.pretended_cuda import META, PretendedCuda

SUBJECT = "vistok.workbench.cost.pretended_cuda"
CPU = torch.device("cpu")


@catches(SUBJECT, "function == _YES", "function != _YES")
@catches(SUBJECT, "return self.real if on_cuda else value", "return value")
def test_tensors_say_that_they_are_on_cuda_and_what_is_made_there_is_made_on_the_meta_device():
    x = torch.empty(2, device="meta")
    with PretendedCuda():
        assert (x.device.type, x.is_cuda, x.is_meta) == ("cuda", True, False)
        made = [
            torch.zeros(2, device="cuda"),
            torch.zeros(2, device=x.device),
            torch.zeros(2).to("cuda"),
            x.new_ones(2),
        ]
        assert torch.zeros(2).device == CPU
    assert [tensor.device for tensor in (x, *made)] == [META] * 5


@catches(SUBJECT, ' and kwargs.get("non_blocking")', "")
def test_a_copy_that_nobody_waits_for_arrives_and_whatever_waits_for_a_value_fails():
    x = torch.empty(2, 3, device="meta")
    with PretendedCuda():
        copied = x.to("cpu", non_blocking=True)
        assert (copied.device, copied.shape) == (CPU, (2, 3))
        for asks in (
            lambda: x.to("cpu"),
            lambda: x[0, 0].item(),
            lambda: bool(x[0, 0] > 0),
            lambda: x[x > 0],
            x.tolist,
        ):
            with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
                asks()


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4), nn.ReLU(), nn.Linear(4, 4))


@catches(SUBJECT, "torch.bfloat16 if name in _LOWER", "torch.float16 if name in _LOWER")
@catches(SUBJECT, '"linear", ', "")
def test_products_round_as_autocast_rounds_them_and_so_do_their_gradients():
    images, ours, theirs = torch.randn(2, 3, 8, 8), network(), network()
    mode = PretendedCuda(CPU)
    with mode, mode.bfloat16():
        y = ours(images)
    with torch.autocast("cpu", torch.bfloat16):
        expected = theirs(images)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, expected)
    y.float().square().sum().backward()
    expected.float().square().sum().backward()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine.grad, other.grad)


@catches(SUBJECT, "torch.float32 if name in _FLOAT32", "torch.bfloat16 if name in _FLOAT32")
@pytest.mark.parametrize("function", [lambda x: F.layer_norm(x, (4,)), lambda x: x.softmax(-1), torch.exp, torch.sum])
def test_what_cuda_computes_in_float32_is_float32(function):
    mode = PretendedCuda()
    with mode, mode.bfloat16():
        assert function(torch.zeros(2, 4, device="cuda", dtype=torch.bfloat16)).dtype == torch.float32


@catches(SUBJECT, 'if torch.is_autocast_enabled("cuda"):', "if True:")
def test_an_island_without_autocast_is_one_here_too():
    mode = PretendedCuda()
    x = torch.empty(2, 2, device="meta")
    with mode:
        assert (x @ x).dtype == torch.float32
        with mode.bfloat16():
            with torch.autocast(x.device.type, enabled=False):
                assert (x @ x).dtype == torch.float32
            assert (x @ x).dtype == torch.bfloat16


@catches(SUBJECT, "if id(tensor) not in self._casts:", "if True:")
@catches(SUBJECT, "self._casts.clear()", "pass")
def test_a_weight_is_converted_once_in_a_block_and_again_in_the_next():
    mode, weight = PretendedCuda(), nn.Parameter(torch.empty(64, 64, device="meta"))
    x = torch.empty(1, 64, device="meta", requires_grad=True)

    def step():
        for _ in range(2):
            with mode.bfloat16():
                first, second = F.linear(x, weight), F.linear(x, weight)
            (first + second).float().sum().backward()

    with mode:
        saved = count(step, [weight], [nn.ParameterList([weight])]).saved
    assert 2 * 64 * 64 <= saved < 2 * 2 * 64 * 64  # one copy in bfloat16, and little beside it
    assert not mode._casts


@catches(SUBJECT, "if function is F.scaled_dot_product_attention and", "if False and")
@pytest.mark.parametrize("masked", [False, True])
def test_attention_keeps_no_matrix_of_weights(masked):
    q = nn.Parameter(torch.empty(1, 2, 256, 8, device="meta"))
    mask = torch.ones(256, 256, dtype=torch.bool, device="meta") if masked else None

    def step():
        F.scaled_dot_product_attention(q, q, q, attn_mask=mask).sum().backward()

    with PretendedCuda():
        counts = count(step, [q], [nn.ParameterList([q])])
    matrix = 4 * 2 * 256 * 256
    assert counts.saved < (1 + masked / 2 if masked else 0.25) * matrix
    assert counts.flops == 14 * 2 * 256 * 256 * 8  # two products forward, five backward


@catches(SUBJECT, " and torch.backends.cuda.mem_efficient_sdp_enabled()", "")
def test_where_the_fused_kernels_are_forbidden_attention_has_a_derivative_forward():
    q = torch.empty(1, 2, 4, 8, device="meta")
    with PretendedCuda(), sdpa_kernel(SDPBackend.MATH):
        out, derivative = torch.func.jvp(lambda x: F.scaled_dot_product_attention(x, x, x), (q,), (q,))
    assert out.shape == derivative.shape == q.shape


@catches(SUBJECT, "if function is F.dropout:", "if False:")
def test_dropout_keeps_a_byte_a_number():
    x = nn.Parameter(torch.empty(100, 100, device="meta"))
    with PretendedCuda():
        assert count(lambda: F.dropout(x * 1.0, 0.5).sum().backward(), [x], [nn.ParameterList([x])]).saved == 100 * 100
        assert F.dropout(x, 0.5, training=False) is x
