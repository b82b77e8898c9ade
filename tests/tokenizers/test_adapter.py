"""FQGAN's adapter, against its definition in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from _support.mutants import catches
from _support.strategies import normal
from vistok.tokenizers import Adapter

SUBJECT = "vistok.tokenizers.adapter"


def drawn(adapter):
    """Every weight away from its start, in float64."""
    torch.manual_seed(0)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return adapter.double()


def definition(adapter, features, positions):
    """The adapter of two heads and one block, or none, from its weights and positions ``(1, C, h, w)``."""
    p = adapter.state_dict()

    def layer_norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        x = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return x * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(x, name):
        return x @ p[f"{name}.weight"].mT + p[f"{name}.bias"]

    x = features
    if positions is not None:
        width = x.shape[1]
        rows = layer_norm((x + positions).flatten(2).mT, "norm_in")
        q, k, v = linear(layer_norm(rows, "blocks.0.norm1"), "blocks.0.qkv").split(width, dim=2)
        heads = []
        for part in (slice(0, width // 2), slice(width // 2, width)):
            scores = q[..., part] @ k[..., part].mT / math.sqrt(width // 2)
            heads.append(scores.softmax(-1) @ v[..., part])
        rows = rows + linear(torch.cat(heads, 2), "blocks.0.out")
        inner = linear(layer_norm(rows, "blocks.0.norm2"), "blocks.0.mlp.0")
        rows = rows + linear(0.5 * inner * (1 + torch.erf(inner / math.sqrt(2))), "blocks.0.mlp.2")
        x = layer_norm(rows, "norm_out").mT.reshape(x.shape)
    groups = x.reshape(len(x), x.shape[1] // 4, -1)
    centred = groups - groups.mean(2, keepdim=True)
    x = (centred / (centred.square().mean(2, keepdim=True) + 1e-6).sqrt()).reshape(x.shape)
    x = x * p["norm.weight"][:, None, None] + p["norm.bias"][:, None, None]
    x = F.conv2d(x / (1 + (-x).exp()), p["conv.weight"], p["conv.bias"], padding=1)
    return F.conv2d(x, p["to_code.weight"], p["to_code.bias"])


@catches(SUBJECT, "rearrange(x + positions,", "rearrange(x,")
@catches(SUBJECT, "self.norm_out(self.blocks(self.norm_in(tokens)))", "self.norm_out(self.blocks(tokens))")
@catches(SUBJECT, "self.norm_out(self.blocks(self.norm_in(tokens)))", "self.blocks(self.norm_in(tokens))")
@catches(SUBJECT, '"b n (three heads d) ->', '"b n (heads three d) ->')
@catches(SUBJECT, "-> b n (heads d)", "-> b n (d heads)")
@catches(SUBJECT, "x = x + self.out(", "x = self.out(")
@catches(SUBJECT, "self.mlp(self.norm2(x))", "self.mlp(x)")
@catches(SUBJECT, "nn.GELU()", 'nn.GELU(approximate="tanh")')
@catches(SUBJECT, "self.conv(normalised_swish(x, self.norm))", "self.conv(self.norm(x))")
def test_it_is_its_definition():
    adapter = drawn(Adapter(8, 12, 5, 3, depth=1, num_heads=2))
    features = normal(0, 2, 8, 3, 3).double()
    expected = definition(adapter, features, adapter.positions)
    torch.testing.assert_close(adapter(features), expected, atol=1e-9, rtol=1e-9)


@catches(SUBJECT, "if positions.shape[-2:] != (h, w):", "if positions.shape[-1] != w:")
@catches(SUBJECT, "size=(h, w)", "size=(w, h)")
@catches(SUBJECT, 'mode="bicubic"', 'mode="bilinear"')
def test_positions_of_another_grid_are_interpolated():
    adapter = drawn(Adapter(8, 12, 5, 3, depth=1, num_heads=2))
    for grid in ((5, 3), (3, 5), (2, 4)):
        features = normal(1, 1, 8, *grid).double()
        positions = F.interpolate(adapter.positions, size=grid, mode="bicubic", align_corners=False)
        expected = definition(adapter, features, positions)
        torch.testing.assert_close(adapter(features), expected, atol=1e-9, rtol=1e-9)


@catches(SUBJECT, "        if depth:\n", "        if depth >= 0:\n")
def test_without_blocks_only_the_convolutions_are_left():
    adapter = drawn(Adapter(8, 12, 5, 3, depth=0, num_heads=3))
    features = normal(2, 2, 8, 4, 2).double()
    torch.testing.assert_close(adapter(features), definition(adapter, features, None), atol=1e-9, rtol=1e-9)
    assert {name.split(".")[0] for name in adapter.state_dict()} == {"norm", "conv", "to_code"}


@catches(SUBJECT, "for _ in range(depth)", "for _ in range(1)")
def test_there_are_as_many_blocks_as_asked_for_and_gradients_reach_them_all():
    adapter = Adapter(8, 12, 5, 3, depth=3, num_heads=2)
    features = normal(3, 2, 8, 3, 3).requires_grad_()
    adapter(features).square().sum().backward()
    assert len(adapter.blocks) == 3
    assert features.grad.any()
    assert all(p.grad is not None and p.grad.any() for p in adapter.parameters())


@catches("vistok.tokenizers._normalisation", "<= x.shape[1:].numel() <=", "<= x[0].numel() <=")
def test_no_features_give_no_codes_also_in_bfloat16_on_a_cpu():
    adapter = Adapter(8, 12, 5, 3, depth=1, num_heads=2).to(torch.bfloat16)
    assert adapter(torch.zeros(0, 8, 3, 3, dtype=torch.bfloat16)).shape == (0, 5, 3, 3)


@catches(SUBJECT, "0.02 * torch.randn", "torch.randn")
def test_positions_start_small():
    torch.manual_seed(0)
    assert abs(Adapter(64, 8, 4, 16, depth=1, num_heads=2).positions.std() - 0.02) < 0.001


@catches(SUBJECT, "num_heads < 1 or ", "")
def test_heads_that_do_not_divide_are_refused():
    for heads in (3, 0):
        with pytest.raises(ValueError, match=f"num_heads must divide width, got {heads} and 8"):
            Adapter(8, 12, 5, 3, depth=1, num_heads=heads)


@catches(SUBJECT, '{**sizes, "grid_size": grid_size}', "sizes")
@catches(SUBJECT, "if depth < 0:", "if depth < -1:")
def test_sizes_below_one_and_fewer_blocks_than_none_are_refused():
    for sizes, depth, said in (
        ((0, 12, 5, 3), 1, "in_channels=0"),
        ((8, 12, 0, 0), 1, "code_dim=0, grid_size=0"),
        ((8, 12, 5, 3), -1, "-1"),
    ):
        with pytest.raises(ValueError, match=f"^Adapter: expected .* of at least .*, got {said}$"):
            Adapter(*sizes, depth=depth, num_heads=2)
