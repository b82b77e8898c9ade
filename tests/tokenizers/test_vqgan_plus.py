"""VQGAN+ around a quantizer: images to tokens and back."""

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import assert_float32_images_in_bfloat16
from _support.strategies import normal
from vistok.quantizers import LookupFreeQuantizer, VectorQuantizer
from vistok.tokenizers import VQGANPlus

SUBJECT = "vistok.tokenizers.vqgan_plus"


def small(quantizer=None, code_dim=6):
    torch.manual_seed(0)
    quantizer = quantizer or LookupFreeQuantizer(6, lowest_bit_first=True)
    return VQGANPlus(quantizer, code_dim, base_channels=8, multipliers=(1, 1, 2), num_blocks=1).eval()


def images():
    return normal(0, 2, 3, 16, 24).clamp(-1, 1)


@catches(SUBJECT, "len(multipliers) - 1", "len(multipliers)")
@catches(SUBJECT, ".clamp(-1, 1)", "")
@torch.no_grad()
def test_shapes_and_ranges_are_the_documented_ones():
    model = small()
    assert (model.stride, model.codebook_sizes) == (4, (64,))
    tokens = model.encode(images())
    assert (tokens.shape, tokens.dtype) == ((2, 4, 6), torch.int64)
    assert bool(((tokens >= 0) & (tokens < 64)).all())
    assert model.features(images()).shape == (2, 6, 4, 6)
    model.decoder.conv_out.bias.fill_(3.0)
    torch.testing.assert_close(model.decode(tokens), model(images()).clamp(-1, 1))
    assert model(images()).max() > model.decode(tokens).max() == 1


@catches(SUBJECT, "(images + 1) / 2", "images")
@catches(SUBJECT, "weight.dtype)) * 2 - 1", "weight.dtype))")
@torch.no_grad()
def test_the_network_itself_sees_and_makes_images_from_zero_to_one():
    model = small()
    torch.testing.assert_close(model.features(images()), model.encoder((images() + 1) / 2))
    codes = model.quantizer.indices_to_codes(model.encode(images()))
    torch.testing.assert_close((model.decode_codes(codes) + 1) / 2, model.decoder(codes))


@catches(SUBJECT, "self.quantizer(self.features(images)).quantized", "self.quantizer(self.features(images)).codes")
def test_gradients_pass_straight_through_the_quantizer():
    for model in (small(), small(VectorQuantizer(24, 5), 5)):
        model(images()).square().mean().backward()
        codes = {name for name, _ in model.quantizer.named_parameters(prefix="quantizer")}
        found = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
        assert found == {name for name, _ in model.named_parameters()} - codes


def test_images_that_do_not_fit_the_stride_are_refused():
    with pytest.raises(
        ValueError, match=r"images: expected \(B, 3, H, W\) with sides divisible by 4, got \(1, 3, 8, 10\)"
    ):
        small().encode(torch.zeros(1, 3, 8, 10))


@catches(SUBJECT, 'check_shape(tokens, ("B", "h", "w") if groups == 1 else ("B", "h", "w", groups), "tokens")', "pass")
def test_tokens_of_another_shape_are_refused():
    for shape in ((2, 24), (2, 4, 6, 1)):
        with pytest.raises(ValueError, match=r"^tokens: expected \(B, h, w\), got \(2, "):
            small().decode(torch.zeros(shape, dtype=torch.int64))
    grouped = small(LookupFreeQuantizer(6, num_groups=2))
    with pytest.raises(ValueError, match=r"^tokens: expected \(B, h, w, 2\), got \(2, 4, 6\)$"):
        grouped.decode(torch.zeros(2, 4, 6, dtype=torch.int64))
    assert grouped.decode(grouped.encode(images())).shape == images().shape


@catches(SUBJECT, '        check_channel_dim("VQGANPlus", quantizer.channel_dim, (1, -3))\n', "")
def test_a_quantizer_with_its_channels_elsewhere_is_refused():
    with pytest.raises(ValueError, match=r"^VQGANPlus: quantizer: expected channel_dim 1 or -3, got -1$"):
        small(LookupFreeQuantizer(6, channel_dim=-1))
    small(LookupFreeQuantizer(6, channel_dim=-3)).encode(images())


@catches(SUBJECT, "codes.to(self.decoder.conv_in.weight.dtype)", "codes")
def test_in_bfloat16_tokens_become_float32_images():
    model, tokens = small(), torch.arange(24).view(2, 3, 4)
    assert_float32_images_in_bfloat16(model, lambda: model.decode(tokens))
