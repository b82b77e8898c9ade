"""One transformer block that predicts what quantization lost."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeded
from vistok.quantizers import ResidualRecovery

SUBJECT = "vistok.quantizers.residual_recovery"


@catches(SUBJECT, "nn.init.zeros_(self.project_out.weight)", "pass")
@catches(SUBJECT, "x = x + self._attend(self.norm_attention(x))", "x = x + self._attend(x)")
@catches(SUBJECT, "+ self._positions_of(quantized.shape[2:])", "")
def test_it_starts_at_zero_and_matches_its_formula():
    torch.manual_seed(0)
    module = ResidualRecovery(3, (2, 2), width=8, heads=2)
    x = normal(0, 2, 3, 2, 2)
    assert not module(x).any()
    torch.nn.init.normal_(module.project_out.weight)
    got = module(x)
    p = {name: value.detach().double() for name, value in module.named_parameters()}

    def norm(h, name):
        centred = h - h.mean(-1, keepdim=True)
        scale = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / scale * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(h, name):
        return h @ p[f"{name}.weight"].t() + p[f"{name}.bias"]

    for image, result in zip(x.double(), got, strict=True):
        h = linear(image.reshape(3, 4).t(), "project_in") + p["positions"]
        q, k, v = linear(norm(h, "norm_attention"), "qkv").split(8, dim=1)
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            weights = (q[:, part] @ k[:, part].t() / 2).softmax(1)
            heads.append(weights @ v[:, part])
        h = h + linear(torch.cat(heads, 1), "attention_out")
        inner = linear(norm(h, "norm_mlp"), "mlp.0")
        h = h + linear(0.5 * inner * (1 + torch.erf(inner / math.sqrt(2))), "mlp.2")
        wanted = linear(norm(h, "norm_out"), "project_out").t().reshape(3, 2, 2)
        assert torch.allclose(result.double(), wanted, atol=1e-5)


@catches(SUBJECT, "nn.init.zeros_(self.project_out.bias)", "nn.init.ones_(self.project_out.bias)")
@catches(SUBJECT, "residual.transpose(1, 2).reshape(quantized.shape)", "residual.reshape(quantized.shape)")
def test_by_hand_a_bias_alone_is_added_to_every_position():
    module = ResidualRecovery(2, (2, 2), width=8, heads=2)
    assert not module(normal(0, 1, 2, 2, 2)).any()
    module.project_out.bias.data.copy_(torch.tensor([5.0, 7.0]))
    assert module(normal(0, 1, 2, 2, 2)).tolist() == [[[[5.0, 5.0], [5.0, 5.0]], [[7.0, 7.0], [7.0, 7.0]]]]


@catches(
    SUBJECT,
    "self.positions.t().unflatten(1, self.grid)",
    "(self.positions * torch.arange(16.0)[:, None]).t().unflatten(1, self.grid)",
)
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


def test_only_the_last_layer_of_a_new_module_gets_a_gradient():
    module = ResidualRecovery(3, (2, 2), width=8, heads=2)
    module(normal(0, 1, 3, 2, 2)).sum().backward()
    moved = {name for name, p in module.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"project_out.weight", "project_out.bias"}


@catches(SUBJECT, ".to(quantized.dtype)", "")
def test_it_keeps_the_dtype_of_its_input_under_autocast():
    module = ResidualRecovery(3, (2, 2), width=8, heads=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module(normal(0, 1, 3, 2, 2)).dtype == torch.float32


@settings(max_examples=15)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3))
def test_any_grid_keeps_its_shape_and_images_do_not_mix(height, width, batch):
    torch.manual_seed(0)
    module = ResidualRecovery(3, (2, 3), width=8, heads=2)
    torch.nn.init.normal_(module.project_out.weight)
    x = normal(1, batch, 3, height, width)
    residual = module(x)
    assert residual.shape == x.shape
    torch.testing.assert_close(residual[-1:], module(x[-1:]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((8, (4, 4)), {"width": 30, "heads": 8}, "heads must divide width=30, got 8"),
        ((8, (0, 4)), {}, r"grid\[0\] must be a whole number of at least 1, got 0"),
        ((8, (4, 4.5)), {}, r"grid\[1\] must be a whole number of at least 1, got 4\.5"),
    ],
)
def test_wrong_sizes_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        ResidualRecovery(*arguments, **options)


@catches(SUBJECT, "not isinstance(grid, Sequence) or", "")
@catches(SUBJECT, "or len(grid) != 2", "")
def test_a_grid_is_a_pair():
    for grid, came in ((4, "4"), ((4, 4, 4), r"\(4, 4, 4\)"), ([4], r"\[4\]")):
        with pytest.raises(ValueError, match=rf"^ResidualRecovery: grid must be \(height, width\), got {came}$"):
            ResidualRecovery(8, grid)


@catches(SUBJECT, "* q.shape[-1] ** -0.5", "")
@catches(SUBJECT, "tokens <= _MOST_TOKENS", "False")
def test_in_bfloat16_its_attention_is_plain_products_on_a_cpu(monkeypatch):
    module = ResidualRecovery(4, (2, 3), width=8, heads=2)
    torch.nn.init.normal_(module.project_out.weight, generator=seeded(1))
    codes = normal(0, 3, 4, 2, 3)
    exact = module(codes)
    with monkeypatch.context() as patch, torch.autocast("cpu", torch.bfloat16):
        patch.setattr(F, "scaled_dot_product_attention", None)
        torch.testing.assert_close(module(codes), exact, rtol=0.05, atol=0.05)


@catches(SUBJECT, ".to(self.project_in.weight.dtype)", "")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_codes_of_another_dtype_than_the_weights_come_back_in_it(dtype):
    recover = ResidualRecovery(4, (2, 2), width=8, heads=2)
    torch.nn.init.normal_(recover.project_out.weight)
    z = normal(0, 2, 4, 2, 2)
    out = recover(z.to(dtype))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), recover(z), rtol=0.05, atol=0.05)
