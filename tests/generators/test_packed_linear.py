"""Linear layers in the layout of the CPU's kernels."""

from itertools import product

import pytest
import torch
from torch import nn

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators.layers._packed_linear import packed

SUBJECT = "vistok.generators.layers._packed_linear"
TOLERANCE = {torch.float32: 1e-5}
if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported():
    TOLERANCE[torch.bfloat16] = 2e-2

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="needs oneDNN")


def network(bias=True):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(512, 256, bias=bias), nn.GELU(), nn.Linear(256, 8), nn.Dropout(0.5)).eval()


@needs_onednn
@catches(SUBJECT, "linear.weight.detach().to(dtype))", "linear.weight.detach().to(dtype).abs())")
@catches(SUBJECT, "None if linear.bias is None else linear.bias.detach().to(dtype)", "None")
@catches(SUBJECT, "x.to(self.dtype)", "x")
@torch.no_grad()
def test_a_packed_network_computes_what_the_plain_one_does():
    for bias, dtype in product((True, False), TOLERANCE):
        plain = network(bias)
        twin = packed(plain, dtype)
        for shape in ((1, 512), (2, 1, 512), (3, 5, 512)):
            x = torch.randn(shape, generator=seeded(1))
            hidden = x.double() @ plain[0].weight.double().T + (plain[0].bias.double() if bias else 0)
            found = twin[0](x)
            assert found.dtype == twin[0](x.double()).dtype == dtype
            assert (found - hidden).abs().max() < TOLERANCE[dtype]
        assert torch.allclose(packed(plain, torch.float32)(x), plain(x), atol=1e-5)


@needs_onednn
@catches(SUBJECT, "linear.weight.numel() < _FEWEST_WEIGHTS", "False")
@catches(SUBJECT, "twin = copy.copy(module)", "twin = module")
def test_the_network_itself_stays_as_it_was_and_small_layers_are_shared():
    plain = network()
    before = dict(plain.named_parameters())
    twin = packed(plain, torch.float32)
    assert type(plain[0]) is nn.Linear
    assert type(twin[0]) is not nn.Linear
    assert twin[2] is plain[2]
    assert all(dict(plain.named_parameters())[name] is value for name, value in before.items())


@catches(SUBJECT, 'linear.weight.device.type != "cpu"', "False")
@catches(SUBJECT, "return dtype == torch.float32 or", "return True or")
def test_other_devices_and_dtypes_keep_the_plain_layer():
    half = network().half()
    assert packed(half, torch.float16)[0] is half[0]
    with torch.device("meta"):
        shapes = network()
    assert packed(shapes, torch.float32)[0] is shapes[0]


@catches(SUBJECT, "type(module) is nn.Linear", "isinstance(module, nn.Linear)")
def test_a_linear_layer_of_another_class_keeps_its_own_forward():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    layer = nn.Sequential(Doubled(512, 256))
    x = torch.randn(1, 512, generator=seeded(0))
    assert torch.equal(packed(layer, torch.float32)(x), layer(x))


@needs_onednn
@catches(SUBJECT, "if linear._forward_hooks or linear._forward_pre_hooks:", "if linear._forward_hooks:")
@catches(SUBJECT, "if linear._forward_hooks or linear._forward_pre_hooks:", "if linear._forward_pre_hooks:")
@catches(SUBJECT, "if is_parametrized(module) or", "if")
@torch.no_grad()
def test_a_layer_with_hooks_or_parametrizations_keeps_them():
    x = torch.randn(1, 512, generator=seeded(0))
    for change in (
        lambda layer: layer.register_forward_hook(lambda module, given, out: 2 * out),
        lambda layer: layer.register_forward_pre_hook(lambda module, given: (2 * given[0],)),
        nn.utils.parametrizations.weight_norm,
    ):
        plain = network()
        change(plain[0])
        assert torch.equal(packed(plain, torch.float32)[0](x), plain[0](x))


@needs_onednn
@catches(SUBJECT, " or _INSIDE in module._modules", "")
@catches(SUBJECT, "None if child is None else packed(child, dtype)", "child and packed(child, dtype)")
@torch.no_grad()
def test_compiled_parts_stay_what_they_are():
    """Their wrapper has no truth value but the inside's length, and what is set on it goes to the module inside."""
    plain = network()
    plain.append(None)
    inside, x = plain[0], torch.randn(1, 512, generator=seeded(0))
    wanted = nn.Sequential(*plain[:4])(x)
    plain[0] = torch.compile(inside, backend="eager")
    twin = packed(plain, torch.float32)
    assert twin[0] is plain[0]
    assert plain[0]._orig_mod is inside
    torch.testing.assert_close(nn.Sequential(*twin[:4])(x), wanted, rtol=1e-5, atol=1e-5)
