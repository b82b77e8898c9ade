"""Heads over the features of a frozen network."""

import pytest
import torch
from hypothesis import given, settings

from _support.mutants import catches
from _support.stages import Stages
from _support.strategies import normal, seeds
from vistok.losses import FeatureDiscriminator

SUBJECT = "vistok.losses.feature_discriminator"


def discriminator():
    torch.manual_seed(0)
    return FeatureDiscriminator(Stages(), [6, 4], kernel_size=3)


@catches(SUBJECT, 'padding_mode="circular"', 'padding_mode="zeros"')
def test_each_image_is_scored_alone():
    model = discriminator().eval()
    images = normal(0, 3, 3, 8, 8).requires_grad_()
    logits = model(images)
    assert logits.shape == (3, 64 + 16)
    assert torch.allclose(logits[1:2], model(images[1:2]), atol=1e-5)
    logits[0].sum().backward()
    assert images.grad[0].any()
    assert not images.grad[1:].any()
    model.train()
    assert not model.network.network.training
    assert all(not p.requires_grad for p in model.network.parameters())
    assert all(p.requires_grad for p in model.heads.parameters())
    shifted = model.eval().heads[0](normal(1, 1, 6, 9).roll(2, dims=2))
    assert torch.allclose(shifted, model.heads[0](normal(1, 1, 6, 9)).roll(2, dims=1), atol=1e-5)


@catches(SUBJECT, "/ math.sqrt(2.0)", "")
@catches(SUBJECT, "nn.GroupNorm(groups, channels)", "nn.GroupNorm(1, channels)")
def test_a_head_is_the_formula_in_float64():
    """A block is a spectrally normalised convolution, group normalisation and leaky ReLU; two of them, summed."""
    head = discriminator().eval().double().heads[1]
    tokens = normal(2, 2, 4, 5).double()

    def block(x, layers):
        convolution, norm = layers[0], layers[1]
        weight, reach = convolution.weight, convolution.kernel_size[0] // 2
        columns = [x.roll(reach - tap, dims=2) for tap in range(weight.shape[2])]
        y = sum(weight[:, :, tap] @ column for tap, column in enumerate(columns)) + convolution.bias[:, None]
        centred = y - y.mean(2, keepdim=True)  # four channels, four groups
        y = centred / (centred.square().mean(2, keepdim=True) + 1e-5).sqrt()
        y = y * norm.weight[:, None] + norm.bias[:, None]
        return torch.where(y > 0, y, 0.2 * y)

    x = block(tokens, head.enter)
    x = (x + block(x, head.residual)) / 2**0.5
    wanted = (head.score.weight[:, :, 0] @ x + head.score.bias[:, None]).flatten(1)
    torch.testing.assert_close(head(tokens), wanted)


@catches(SUBJECT, "self.score = spectral_norm(nn.Conv1d(channels, 1, 1))", "self.score = nn.Conv1d(channels, 1, 1)")
@settings(max_examples=10)
@given(seeds)
def test_after_some_steps_no_layer_stretches_by_more_than_about_one(seed):
    torch.manual_seed(seed)
    model = FeatureDiscriminator(Stages(), [6, 4], kernel_size=3)
    for parameter in model.heads.parameters():
        parameter.data.mul_(30)
    for _ in range(30):
        model(normal(seed, 1, 3, 8, 8))
    for head in model.eval().heads:
        for convolution in (head.enter[0], head.residual[0], head.score):
            assert torch.linalg.matrix_norm(convolution.weight.flatten(1), 2) < 1.1


def test_wrong_options_and_maps_that_do_not_match_are_named():
    class Map(torch.nn.Module):
        def forward(self, images):
            return [images]

    with pytest.raises(ValueError, match="channels"):
        FeatureDiscriminator(torch.nn.Identity(), [])
    with pytest.raises(ValueError, match="kernel_size"):
        FeatureDiscriminator(torch.nn.Identity(), [3], kernel_size=4)
    with pytest.raises(ValueError, match="channels"):
        FeatureDiscriminator(Map(), [4])(torch.ones(1, 3, 8, 8))
    with pytest.raises(ValueError, match="positions"):
        FeatureDiscriminator(Map(), [3])(torch.ones(1, 3, 1, 3))


@catches(SUBJECT, "tokens.to(next(self.parameters()).dtype)", "tokens")
def test_heads_read_a_network_of_another_dtype_in_their_own():
    for dtype in (torch.bfloat16, torch.float64):
        torch.manual_seed(0)
        model = FeatureDiscriminator(Stages().to(dtype), [6, 4], kernel_size=3)
        images = normal(0, 2, 3, 8, 8).requires_grad_()
        logits = model(images)
        assert logits.dtype == torch.float32
        logits.sum().backward()
        assert images.grad.isfinite().all()


@catches(SUBJECT, 'check_maps("the output of network", features)', "pass")
def test_a_network_that_gives_one_tensor_is_named():
    with pytest.raises(TypeError, match=r"^the output of network must be a list of feature maps, got Tensor$"):
        FeatureDiscriminator(torch.nn.Identity(), [8])(torch.ones(1, 3, 8, 8))
