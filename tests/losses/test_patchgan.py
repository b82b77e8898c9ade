"""The patch discriminator."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from _support.mutants import catches
from _support.strategies import normal, seeded, seeds
from vistok.losses import PatchGANDiscriminator

SUBJECT = "vistok.losses.patchgan"


@catches(SUBJECT, "min(2**level, 8)", "2 * level")
@catches(SUBJECT, "2 if level < num_layers else 1", "2")
@catches(SUBJECT, "layer.weight.normal_(0.0, 0.02, generator=generator)", "pass")
def test_it_has_the_published_layers_and_sees_seventy_pixels():
    model = PatchGANDiscriminator(generator=seeded(0))
    convolutions = [layer for layer in model.layers if isinstance(layer, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 512, 1]
    assert [c.stride[0] for c in convolutions] == [2, 2, 2, 1, 1]
    assert {c.kernel_size for c in convolutions} == {(4, 4)}
    assert [type(layer).__name__ for layer in model.layers if isinstance(layer, nn.BatchNorm2d)] == ["BatchNorm2d"] * 3
    assert {layer.negative_slope for layer in model.layers if isinstance(layer, nn.LeakyReLU)} == {0.2}
    assert abs(convolutions[2].weight.std().item() - 0.02) < 1e-3
    assert convolutions[0].bias is not None
    assert not convolutions[0].bias.any()
    image = torch.zeros(1, 3, 256, 256, requires_grad=True)
    logits = model.eval()(image)
    assert logits.shape == (1, 1, 30, 30)
    logits[0, 0, 15, 15].backward()
    rows = image.grad[0].abs().sum((0, 2)).nonzero()
    assert rows.max() - rows.min() + 1 == 70


@catches(SUBJECT, "2 ** (num_layers + 1) + 2**num_layers", "2 ** (num_layers + 1)")
def test_the_smallest_image_gives_one_logit():
    for layers in (1, 2, 3):
        for norm in ("batch", "group", "none"):
            model = PatchGANDiscriminator(2, 6, layers, norm=norm)
            side = model.smallest_side
            assert model(normal(0, 2, 2, side, side)).shape == (2, 1, 1, 1)
            with pytest.raises(ValueError, match=str(side)):
                model(normal(0, 2, 2, side, side - 1))


@catches(SUBJECT, "return [_GroupNorm(groups, channels)]", "return [nn.BatchNorm2d(channels)]")
@given(seeds, st.integers(1, 3), st.sampled_from(["group", "none"]))
def test_without_batch_statistics_a_logit_depends_on_its_own_image(seed, layers, norm):
    model = PatchGANDiscriminator(2, 3, layers, norm=norm, generator=seeded(seed))
    images = normal(seed, 3, 2, 24, 24)
    torch.testing.assert_close(model(images)[1:2], model(images[1:2]))


@catches(SUBJECT, "layer.weight.normal_(1.0, 0.02, generator=generator)", "layer.weight.normal_(1.0, 0.02)")
def test_the_initial_weights_are_those_of_the_generator():
    one, two, other = (PatchGANDiscriminator(3, 4, generator=seeded(seed)).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["layers.0.weight"], other["layers.0.weight"])


@catches(SUBJECT, "self.weight.float(), self.bias.float()", "None, None")
@catches(SUBJECT, "normalised.to(x.dtype)", "normalised")
@catches(SUBJECT, "F.group_norm(x.float(), self.num_groups", "F.group_norm(x.float(), 1")
def test_in_bfloat16_the_group_norm_is_float64_s_to_bfloat16_s_rounding():
    norm = next(m for m in PatchGANDiscriminator(1, 8, 1, norm="group").modules() if isinstance(m, nn.GroupNorm))
    with torch.no_grad():
        norm.weight.copy_(normal(3, norm.num_channels))
        norm.bias.copy_(normal(4, norm.num_channels))
    x = normal(5, 2, norm.num_channels, 3, 5).bfloat16()
    out = norm(x)
    groups = x.double().reshape(2, norm.num_groups, -1)
    variance = groups.var(-1, unbiased=False, keepdim=True)
    directions = ((groups - groups.mean(-1, keepdim=True)) / (variance + norm.eps).sqrt()).view(x.shape)
    expected = directions * norm.weight.double().view(-1, 1, 1) + norm.bias.double().view(-1, 1, 1)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.double(), expected, rtol=2**-8, atol=1e-5)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="norm"):
        PatchGANDiscriminator(norm="layer")
    with pytest.raises(ValueError, match="num_layers"):
        PatchGANDiscriminator(num_layers=0)
    with pytest.raises(ValueError, match="images must have shape"):
        PatchGANDiscriminator(3, 4)(torch.ones(1, 2, 64, 64))
