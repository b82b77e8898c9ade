"""VQGAN's convolutional encoder and decoder, against their definition in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal
from vistok.tokenizers import Decoder, Encoder, to_channels_last
from vistok.tokenizers.autoencoder import Downsample, Upsample, group_norm

SUBJECT = "vistok.tokenizers.autoencoder"


class Definition:
    """The blocks written out from the weights of a float64 network."""

    def __init__(self, network):
        self.p = network.state_dict()

    def conv(self, x, name, **options):
        return F.conv2d(x, self.p[f"{name}.weight"], self.p[f"{name}.bias"], **options)

    def norm(self, x, name):
        groups = x.reshape(len(x), x.shape[1] // 4, -1)  # 4 channels each in layers as narrow as these
        centred = groups - groups.mean(2, keepdim=True)
        x = (centred / (centred.square().mean(2, keepdim=True) + 1e-6).sqrt()).reshape(x.shape)
        return x * self.p[f"{name}.weight"][:, None, None] + self.p[f"{name}.bias"][:, None, None]

    def act(self, x, name):
        x = self.norm(x, name)
        return x / (1 + (-x).exp())

    def residual(self, x, name):
        h = self.conv(self.act(x, f"{name}.norm1"), f"{name}.conv1", padding=1)
        h = self.conv(self.act(h, f"{name}.norm2"), f"{name}.conv2", padding=1)
        return h + (self.conv(x, f"{name}.shortcut") if f"{name}.shortcut.weight" in self.p else x)

    def attention(self, x, name):
        rows = self.conv(self.norm(x, f"{name}.norm"), f"{name}.qkv").flatten(2).mT
        q, k, v = rows.split(x.shape[1], dim=2)
        mixed = (q @ k.mT / math.sqrt(x.shape[1])).softmax(-1) @ v
        return x + self.conv(mixed.mT.reshape(x.shape), f"{name}.out")

    def middle(self, x, name):
        return self.residual(self.attention(self.residual(x, f"{name}.0"), f"{name}.1"), f"{name}.2")


def drawn(network):
    """Every weight away from its start, where gains are 1 and offsets 0."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.double()


@catches(SUBJECT, "return self.shortcut(x) + h", "return h")
@catches(SUBJECT, "h = self.conv2(normalised_swish(h, self.norm2))", "h = self.conv2(self.norm2(h))")
@catches(SUBJECT, "eps=1e-6", "eps=1e-5")
@catches(SUBJECT, '"b (three c) h w -> three', '"b (c three) h w -> three')
@catches(SUBJECT, "return x + self.out(attended)", "return self.out(attended)")
@catches(SUBJECT, "self.qkv(normalised(x, self.norm))", "self.qkv(x)")
@catches(SUBJECT, "F.pad(x, (0, 1, 0, 1))", "F.pad(x, (1, 0, 1, 0))")
@catches(SUBJECT, "num_blocks, attention=last", "num_blocks, attention=True")
def test_the_encoder_is_its_definition():
    encoder = drawn(Encoder(3, 8, (1, 2), 2))
    d, images = Definition(encoder), normal(0, 2, 3, 8, 12).double()
    x = d.conv(images, "conv_in", padding=1)
    x = d.residual(d.residual(x, "levels.0.0"), "levels.0.1")
    x = d.conv(F.pad(x, (0, 1, 0, 1)), "levels.1.conv", stride=2)
    x = d.attention(d.residual(x, "levels.2.0"), "levels.2.1")
    x = d.attention(d.residual(x, "levels.2.2"), "levels.2.3")
    torch.testing.assert_close(encoder(images), d.middle(x, "middle"), atol=1e-9, rtol=1e-9)


@catches(SUBJECT, "num_blocks + 1, attention=index == 0", "num_blocks, attention=index == 0")
@catches(SUBJECT, "attention=index == 0", "attention=index == len(widths) - 1")
@catches(SUBJECT, "normalised_swish(h, self.norm_out)", "self.norm_out(h)")
@catches(SUBJECT, 'mode="nearest"', 'mode="bilinear"')
def test_the_decoder_is_its_definition():
    decoder = drawn(Decoder(5, 3, 8, (1, 2), 1))
    d, features = Definition(decoder), normal(1, 2, 5, 4, 6).double()
    x = d.middle(d.conv(features, "conv_in", padding=1), "middle")
    x = d.attention(d.residual(x, "levels.0.0"), "levels.0.1")
    x = d.attention(d.residual(x, "levels.0.2"), "levels.0.3")
    x = d.conv(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3), "levels.1.conv", padding=1)
    x = d.residual(d.residual(x, "levels.2.0"), "levels.2.1")
    expected = d.conv(d.act(x, "norm_out"), "conv_out", padding=1)
    torch.testing.assert_close(decoder(features), expected, atol=1e-9, rtol=1e-9)


@catches(SUBJECT, "reversed(multipliers)", "multipliers")
def test_the_encoder_ends_and_the_decoder_begins_with_the_last_width():
    encoder, decoder = Encoder(3, 8, (1, 2, 4), 1), Decoder(5, 3, 8, (1, 2, 4), 1)
    assert [tuple(encoder.conv_in.weight.shape[:2]), encoder.out_channels] == [(8, 3), 32]
    assert [tuple(layer.weight.shape[:2]) for layer in (decoder.conv_in, decoder.conv_out)] == [(32, 5), (3, 8)]


@catches(SUBJECT, "scale_factor=2.0", "scale_factor=4.0")
def test_by_hand_up_is_each_pixel_four_times_and_down_sees_zeros_on_the_right_and_below():
    up, down = Upsample(1), Downsample(1)
    with torch.no_grad():
        for layer in (up, down):
            layer.conv.bias.zero_()
        up.conv.weight.copy_(torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]))
        down.conv.weight.copy_(torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 0, 1]]))  # the corner
    image = torch.tensor([[[[1.0, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]]]])
    assert up(image[..., :1, :2]).tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]
    assert down(image).tolist() == [[[[11, 0], [0, 0]]]]


@catches(SUBJECT, "min(4, channels)", "min(8, channels)")
@catches(SUBJECT, "groups = 32", "groups = 16")
def test_groups_are_32_or_as_many_as_leave_four_channels_each():
    groups = {1: 1, 2: 1, 6: 1, 8: 2, 48: 8, 64: 16, 96: 16, 128: 32, 512: 32}
    assert {channels: group_norm(channels).num_groups for channels in groups} == groups


@settings(max_examples=15)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(1, 2), st.integers(1, 2), st.integers(1, 2))
def test_each_level_but_one_halves_the_sides_and_the_decoder_doubles_them_again(multipliers, blocks, height, width):
    encoder = Encoder(1, 4, multipliers, blocks)
    stride = 2 ** (len(multipliers) - 1)
    features = encoder(torch.zeros(1, 1, height * stride, width * stride))
    assert features.shape == (1, encoder.out_channels, height, width)
    assert encoder.out_channels == 4 * multipliers[-1]
    images = Decoder(encoder.out_channels, 3, 4, multipliers, blocks)(features)
    assert images.shape == (1, 3, height * stride, width * stride)


def test_gradients_reach_the_input_and_every_parameter():
    encoder, decoder = Encoder(3, 8, (1, 2), 1), Decoder(16, 3, 8, (1, 2), 1)
    images = normal(2, 1, 3, 8, 8).requires_grad_()
    decoder(encoder(images)).square().sum().backward()
    assert images.grad.any()
    assert all(p.grad is not None and p.grad.any() for network in (encoder, decoder) for p in network.parameters())


@catches(SUBJECT, 'check_sizes("Encoder", {**sizes, "multipliers": multipliers})', 'check_sizes("Encoder", sizes)')
@catches(SUBJECT, '{"in_channels": in_channels, **sizes, "multipliers": multipliers}', "sizes")
def test_no_level_and_sizes_below_one_are_refused():
    for sizes, said in (
        ((3, 8, (), 1), r"multipliers=\(\)"),
        ((3, 8, (1, 0), 1), r"multipliers=\(1, 0\)"),
        ((3, 8, (1, 2), 0), "num_blocks=0"),
        ((0, 0, (1, 2), 1), "image_channels=0, base_channels=0"),
    ):
        with pytest.raises(ValueError, match=f"^Encoder: expected sizes of at least 1, got {said}$"):
            Encoder(*sizes)
        with pytest.raises(ValueError, match=f"^Decoder: expected sizes of at least 1, got in_channels=0, {said}$"):
            Decoder(0, *sizes)


@catches(SUBJECT, "        check_images(images, self.stride, self.conv_in.in_channels)\n", "")
@catches(SUBJECT, "self.stride = int(2 ** (len(widths) - 1))", "self.stride = int(2 ** len(widths))")
@catches(SUBJECT, "self.stride = int(2 ** (len(widths) - 1))", "self.stride = 1")
def test_images_whose_sides_or_channels_do_not_fit_are_refused():
    encoder = Encoder(1, 8, (1, 1, 2), 1)
    assert encoder(torch.zeros(0, 1, 4, 12)).shape == (0, 16, 1, 3)
    for shape in ((2, 1, 33, 35), (2, 1, 32, 34), (2, 3, 32, 32), (1, 32, 32)):
        with pytest.raises(ValueError, match=r"^images: expected") as caught:
            encoder(torch.zeros(shape))
        assert str(caught.value) == f"images: expected (B, 1, H, W) with sides divisible by 4, got {shape}"


@catches(SUBJECT, 'check_shape(features, ("B", self.conv_in.in_channels, "h", "w"), "features")', "pass")
def test_features_of_other_channels_are_refused():
    decoder = Decoder(5, 3, 8, (1, 2), 1)
    for shape in ((2, 4, 3, 3), (5, 3, 3)):
        with pytest.raises(ValueError, match=r"^features: expected") as caught:
            decoder(torch.zeros(shape))
        assert str(caught.value) == f"features: expected (B, 5, h, w), got {shape}"


@catches(SUBJECT, "images.contiguous(memory_format=torch.channels_last)", "images.contiguous()")
def test_channels_last_keeps_the_values_and_what_already_lies_so():
    images = normal(3, 2, 3, 4, 5)
    moved = to_channels_last(images)
    assert torch.equal(moved, images)
    assert moved.is_contiguous(memory_format=torch.channels_last)
    assert to_channels_last(moved) is moved
