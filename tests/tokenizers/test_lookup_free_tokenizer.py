"""Signs between convolutional stacks."""

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import assert_float32_images_in_bfloat16, spread
from _support.strategies import seeded
from vistok.tokenizers.lookup_free_tokenizer import AdaptiveNorm, DepthToSpace, LookupFreeTokenizer

SUBJECT = "vistok.tokenizers.lookup_free_tokenizer"


def small(bits=5, **changes):
    torch.manual_seed(0)
    return LookupFreeTokenizer(
        bits, **{"base_channels": 8, "multipliers": (1, 2, 2), "num_blocks": 1, **changes}
    ).eval()


@catches(SUBJECT, "self.features(images).flip(1)", "self.features(images)")
@catches(SUBJECT, "indices_to_codes(tokens).flip(1)", "indices_to_codes(tokens)")
def test_bit_i_of_a_token_is_the_sign_of_channel_i():
    model, images = small(), spread("images", (2, 3, 12, 16))
    with torch.no_grad():
        features = model.features(images)
    tokens = model.encode(images)
    assert tokens.shape == (2, 3, 4)
    for channel in range(5):
        assert torch.equal(tokens >> channel & 1, (features[:, channel] > 0).long())
    assert torch.equal(model.codes(tokens), torch.where(features > 0, 1.0, -1.0))


@catches(SUBJECT, "self.codes(tokens)).float().clamp(-1, 1)", "self.codes(tokens)).float()")
def test_what_is_decoded_is_what_the_call_returns_clamped():
    model, images = small(), 3 * spread("images", (2, 3, 8, 8))
    torch.nn.init.normal_(model.decoder.conv_out.weight, std=2)
    with torch.no_grad():
        through = model(images)
    assert through.abs().max() > 1
    torch.testing.assert_close(model.decode(model.encode(images)), through.clamp(-1, 1))


def test_the_gradient_goes_to_the_images_and_to_every_parameter():
    model, images = small(), spread("images", (1, 3, 8, 8)).requires_grad_()
    model(images).square().sum().backward()
    assert all(tensor.grad is not None and tensor.grad.abs().sum() > 0 for tensor in (images, *model.parameters()))


@catches(SUBJECT, "places.var(dim=-1)", "places.var(dim=-1, correction=0)")
@catches(SUBJECT, "(spread + _EPS).sqrt()", "spread + _EPS")
@catches(SUBJECT, "self.offset(places.mean(dim=-1))", "self.offset(places.sum(dim=-1))")
def test_gain_and_offset_follow_from_spread_and_mean_of_the_codes():
    norm = AdaptiveNorm(8, 3).double()
    x = torch.randn(2, 8, 4, 4, generator=seeded(0), dtype=torch.float64)
    codes = torch.randn(2, 3, 2, 2, generator=seeded(1), dtype=torch.float64).sign()
    for image in range(2):
        rows = codes[image].reshape(3, 4)
        mean = rows.sum(1) / 4
        spread_of = ((rows - mean[:, None]).square().sum(1) / 3 + 1e-6).sqrt()
        gain = norm.gain.weight @ spread_of + norm.gain.bias
        offset = norm.offset.weight @ mean + norm.offset.bias
        plain = x[image].reshape(2, 4, 16)  # two groups of four channels
        middle = plain.mean((1, 2), keepdim=True)
        plain = (plain - middle) / ((plain - middle).square().mean((1, 2), keepdim=True) + 1e-6).sqrt()
        expected = plain.reshape(8, 4, 4) * gain[:, None, None] + offset[:, None, None]
        torch.testing.assert_close(norm(x, codes)[image], expected)


@catches(SUBJECT, '"b (p q c) h w -> b c (h p) (w q)"', '"b (c p q) h w -> b c (h p) (w q)"')
@catches(SUBJECT, '"b (p q c) h w -> b c (h p) (w q)"', '"b (q p c) h w -> b c (h p) (w q)"')
def test_a_quarter_of_the_channels_is_the_first_of_four_pixels():
    up = DepthToSpace(2)
    x = torch.randn(1, 2, 3, 2, generator=seeded(2))
    wide, out = up.conv(x), up(x)
    assert out.shape == (1, 2, 6, 4)
    for row in range(2):
        for column in range(2):
            first = 2 * (2 * row + column)
            assert torch.equal(out[:, :, row::2, column::2], wide[:, first : first + 2])


@catches(SUBJECT, "if codes.shape[2:].numel() < 2:", "if False:")
@catches(SUBJECT, "check_images(images, self.stride)", "pass")
@catches(SUBJECT, 'check_shape(tokens, ("B", "h", "w"), "tokens")', "pass")
def test_what_cannot_be_decoded_or_encoded_is_one_line():
    model = small()
    with pytest.raises(ValueError, match=r"codes: expected two tokens of an image at least, got shape \(1, 5, 1, 1\)"):
        model(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"images: expected \(B, 3, H, W\) with sides divisible by 4"):
        model.encode(torch.zeros(1, 3, 8, 9))
    with pytest.raises(ValueError, match=r"^tokens: expected \(B, h, w\), got \(2, 6\)$"):
        model.decode(torch.zeros(2, 6, dtype=torch.int64))
    with pytest.raises(ValueError, match="LookupFreeTokenizer: expected sizes of at least 1, got num_blocks=0"):
        small(num_blocks=0)
    with pytest.raises(ValueError, match="a group can have at most 18 bits"):
        small(19)


@catches(SUBJECT, "codes.shape[2:].numel()", "codes[0, 0].numel()")
@catches(SUBJECT, " if len(places) else places.sum(dim=-1)", "")
@pytest.mark.filterwarnings("error::UserWarning")
def test_no_images_give_no_tokens_and_no_images():
    model, none = small(), torch.zeros(0, 3, 8, 12)
    tokens = model.encode(none)
    assert tokens.shape == (0, 2, 3)
    assert model.decode(tokens).shape == model(none).shape == none.shape


@catches(SUBJECT, "codes.to(self.decoder.conv_in.weight.dtype)", "codes")
def test_in_bfloat16_tokens_become_float32_images():
    model, tokens = small(), torch.arange(24).view(2, 3, 4)
    assert_float32_images_in_bfloat16(model, lambda: model.decode(tokens))
