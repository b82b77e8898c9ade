"""TiTok: what latent tokens keep of an image, and how patches come back."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.quantizers import VectorQuantizer
from vistok.tokenizers import PixelCodes, TiTok, TransformerSize

SUBJECT = "vistok.tokenizers.one_dimensional"
CODES = PixelCodes(codebook_size=12, code_dim=6, base_channels=8, multipliers=(1, 2), num_blocks=1)


def small(pixels=None, channel_dim=-1, **changes):
    torch.manual_seed(0)
    sizes = {"grid_size": 4, "patch_size": 2, "pixels": pixels, **changes}
    quantizer = VectorQuantizer(16, 4, channel_dim=channel_dim)
    return TiTok(quantizer, 5, TransformerSize(64, 1), TransformerSize(128, 1), **sizes).eval()


def images():
    return normal(0, 2, 3, 8, 8).clamp(-1, 1)


@catches(SUBJECT, ".float().clamp(-1, 1)", "")
@catches(SUBJECT, "= grid_size, grid_size * patch_size", "= grid_size, grid_size * 2 * patch_size")
@torch.no_grad()
def test_shapes_and_ranges_are_the_documented_ones():
    for pixels in (None, CODES):
        model = small(pixels)
        assert (model.image_size, model.codebook_sizes) == (8, (16,))
        tokens = model.encode(images())
        assert (tokens.shape, tokens.dtype) == ((2, 5), torch.int64)
        assert bool(((tokens >= 0) & (tokens < 16)).all())
        assert model.features(images()).shape == (2, 5, 4)
        last = model.pixels.conv_out if pixels is None else model.pixels.decoder.conv_out
        last.bias.fill_(3.0)
        torch.testing.assert_close(model.decode(tokens), model(images()).clamp(-1, 1))
        assert model(images()).max() > model.decode(tokens).max() == 1


@catches(SUBJECT, "if self.mixed_features else", "if not self.mixed_features else")
@catches(SUBJECT, "tokens.reshape(batch, width, count)", "tokens.reshape(batch, count, width).mT")
@torch.no_grad()
def test_a_code_reads_its_own_token_or_every_nth_value_of_all():
    for mixed in (True, False):
        model = small(mixed_features=mixed)
        patches = model.embed((images() + 1) / 2).flatten(2).transpose(1, 2)
        _, tokens = model.encoder(patches, model.tokens.expand(2, -1, -1))
        weight, bias = model.to_code.weight[:, :, 0, 0], model.to_code.bias
        for place, code in enumerate(model.features(images()).unbind(1)):
            read = tokens.flatten(1)[:, place::5] if mixed else tokens[:, place]
            torch.testing.assert_close(code, read @ weight.T + bias)


@catches(SUBJECT, "torch.cat([class_token, patches], dim=1)", "torch.cat([patches, class_token], dim=1)")
@catches(SUBJECT, "x[:, 1 : seen.shape[1]], x[:, seen.shape[1] :]", "x[:, : seen.shape[1] - 1], x[:, seen.shape[1] :]")
@torch.no_grad()
def test_without_blocks_each_token_keeps_its_place_and_its_position():
    transformer = small().encoder
    transformer.blocks = torch.nn.Identity()
    patches, tokens = normal(1, 2, 16, 64), normal(2, 2, 5, 64)
    seen, kept = transformer(patches, tokens)
    for found, given, where in (
        (seen, patches, transformer.positions[1:]),
        (kept, tokens, transformer.token_positions),
    ):
        torch.testing.assert_close(found, transformer.norm_out(transformer.norm_in(given + where)))


@catches(SUBJECT, "softmax(dim=1)", "softmax(dim=2)")
@catches(SUBJECT, '"bkhw,kc->bchw"', '"bkhw,kc->bcwh"')
@torch.no_grad()
def test_pixels_come_from_a_mixture_of_codes_at_each_place():
    head = small(CODES).pixels
    features = normal(3, 1, 128, 4, 4)
    weights = head.to_logits(features)[0].double().exp()
    mixed = torch.zeros(1, 6, 4, 4)
    for row in range(4):
        for column in range(4):
            shares = weights[:, row, column] / weights[:, row, column].sum()
            mixed[0, :, row, column] = shares @ head.codebook.double()
    torch.testing.assert_close(head(features), head.decoder(mixed))


@catches(SUBJECT, '"b (p q c) h w -> b c (h p) (w q)"', '"b (c p q) h w -> b c (h p) (w q)"')
@torch.no_grad()
def test_a_patch_lies_row_by_row_with_its_colours_last():
    head = small().pixels
    head.conv_out = torch.nn.Identity()
    features = normal(4, 1, 128, 4, 4)
    patches = head.to_patches(features)
    expected = patches[0, :, 2, 1].reshape(2, 2, 3).permute(2, 0, 1)
    torch.testing.assert_close(head(features)[0, :, 4:6, 2:4], expected)


@catches(SUBJECT, "(like_weights(images, self.embed.weight) + 1) / 2", "images")
@catches(SUBJECT, "self.pixels(grid) * 2 - 1", "self.pixels(grid)")
@torch.no_grad()
def test_the_network_itself_sees_and_makes_images_from_zero_to_one():
    model = small()
    seen, made = [], []
    model.embed.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model.pixels.register_forward_hook(lambda _, __, out: made.append(out))
    out = model(images())
    torch.testing.assert_close(seen[0], (images() + 1) / 2)
    torch.testing.assert_close(made[0], (out + 1) / 2)


@catches(SUBJECT, "self.quantizer(self.features(images)).quantized", "self.quantizer(self.features(images)).codes")
def test_gradients_pass_straight_through_the_quantizer():
    for pixels in (None, CODES):
        model = small(pixels)
        model(images()).square().mean().backward()
        missing = {name for name, parameter in model.named_parameters() if parameter.grad is None}
        assert missing == {"quantizer.weight"}


@catches(SUBJECT, "        check_floats(images)\n", "")
@catches(SUBJECT, '        check_shape(tokens, ("B", len(self.tokens)), "tokens")\n', "")
def test_what_does_not_fit_is_one_line():
    with pytest.raises(TypeError, match=r"^images: expected floats in \[-1, 1\], got torch.uint8$"):
        small().encode(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    for shape in ((2, 1), (2, 6), (5,)):
        with pytest.raises(ValueError, match=r"^tokens: expected \(B, 5\), got \("):
            small().decode(torch.zeros(shape, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"images: expected \(B, 3, 8, 8\), got \(1, 3, 8, 16\)"):
        small().encode(torch.zeros(1, 3, 8, 16))
    with pytest.raises(ValueError, match="width must be a multiple of 64, got 96"):
        TiTok(VectorQuantizer(16, 4, channel_dim=-1), 5, TransformerSize(96, 1), TransformerSize(64, 1))
    with pytest.raises(ValueError, match="TiTok: expected sizes of at least 1, got grid_size=0"):
        small(grid_size=0)


@catches(SUBJECT, '        check_channel_dim("TiTok", quantizer.channel_dim, (-1, 2))\n', "")
def test_a_quantizer_with_its_channels_elsewhere_is_refused():
    with pytest.raises(ValueError, match=r"^TiTok: quantizer: expected channel_dim -1 or 2, got 1$"):
        small(channel_dim=1)
    assert small(channel_dim=2).encode(images()).shape == (2, 5)
