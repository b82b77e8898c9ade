"""A sequence of bits and a flow back to the image."""

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import assert_float32_images_in_bfloat16, spread
from _support.strategies import seeded
from vistok.tokenizers.flow_tokenizer import FlowSampling, FlowTokenizer, StackSize

SUBJECT = "vistok.tokenizers.flow_tokenizer"
SIZE = StackSize(64, 2, 2)


def small(num_groups=2, **changes):
    torch.manual_seed(0)
    sizes = {"num_groups": num_groups, "image_size": 8, "encoder": SIZE, "decoder": SIZE}
    model = FlowTokenizer(5, 6, **{**sizes, **changes}).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@catches(SUBJECT, "groups.flip(-1).flatten(-2)", "groups.flatten(-2)")
@catches(SUBJECT, "codes.flip(-1).transpose(-1, -2)", "codes.transpose(-1, -2)")
@catches(SUBJECT, ".unflatten(-1, (-1, self.quantizer.num_groups)).transpose(-1, -2)", ".unflatten(-1, (2, -1))")
@pytest.mark.parametrize("num_groups", [1, 2])
def test_bit_i_of_token_j_of_a_place_is_the_sign_of_channel_i_groups_plus_j(num_groups, monkeypatch):
    model, features = small(num_groups), torch.randn(3, 5, 6, generator=seeded(0))
    monkeypatch.setattr(model.encoder, "forward", lambda *_: features)
    tokens = model.encode(torch.zeros(3, 3, 8, 8))
    assert tokens.shape == (3, 5 * num_groups)
    per_place = tokens.reshape(3, 5, num_groups)
    for bit in range(6 // num_groups):
        for token in range(num_groups):
            wanted = (features[..., bit * num_groups + token] > 0).long()
            assert torch.equal(per_place[..., token] >> bit & 1, wanted)
    assert torch.equal(model.codes(tokens), torch.where(features > 0, 1.0, -1.0))
    assert model.codebook_sizes == (2 ** (6 // num_groups),)


@catches(SUBJECT, "index < len(self.blocks),  # nothing reads the last one's patches", "index < 0,")
@catches(SUBJECT, "rotary_table_1d(grid[0], second)[:, None]", "rotary_table_1d(grid[0], second)[None]")
def test_images_of_any_grid_are_encoded_and_patches_count_by_where_they_are():
    model = small()
    with torch.no_grad():
        model.encoder.out.weight.normal_(std=1)
        images = spread("images", (1, 3, 12, 12))
        features = model.features(images)
        assert features.shape == (1, 5, 6)
        assert not torch.allclose(features, model.features(images.flip(2)), atol=1e-3)
        assert not torch.allclose(features, model.features(images.transpose(2, 3)), atol=1e-3)
        assert model.features(spread("wide", (1, 3, 8, 24))).shape == (1, 5, 6)
        model.encoder.blocks[0].second.down.weight.zero_()
        assert not torch.allclose(features, model.features(images), atol=1e-3)


@catches(
    SUBJECT,
    "flagged if known else torch.zeros_like(flagged)",
    "flagged if known else torch.cat([codes * 0, flagged[..., -1:]], dim=-1)",
)
def test_without_codes_nothing_of_them_is_seen():
    model, x, t = small(), spread("noise", (1, 3, 8, 8)), torch.tensor([0.4])
    codes = torch.ones(1, 5, 6)
    with torch.no_grad():
        model.decoder.embed_codes.weight[:, -1] += 3
        none = model.velocity(x, codes, t, known=False)
        assert torch.equal(none, model.velocity(x, -codes, t, known=False))
        by_hand = model.decoder(x, torch.zeros(1, 5, 7), t)
        assert torch.equal(none, by_hand)
        assert not torch.allclose(none, model.velocity(x, codes, t), atol=1e-4)


@catches(SUBJECT, "or not sampling.low <= time <= sampling.high", "")
@catches(SUBJECT, "none + sampling.guidance * (given - none)", "given + sampling.guidance * (given - none)")
@catches(SUBJECT, "power=sampling.power", "power=1.0")
def test_a_step_follows_the_guided_velocity():
    model, noise = small(), spread("noise", (2, 3, 8, 8))
    codes = torch.ones(2, 5, 6)
    how = FlowSampling(num_steps=2, power=2.0, guidance=3.0, low=0.2, high=0.5)

    def field(x, time, known=True):
        return model.velocity(x, codes, torch.full((2,), time), known=known)

    with torch.no_grad():
        x = noise - 0.75 * field(noise, 1.0)  # from 1 to 1/4: beyond the interval, not guided
        none = field(x, 0.25, known=False)
        x = x - 0.25 * (none + 3 * (field(x, 0.25) - none))
    torch.testing.assert_close(model.solve(codes, noise, how), x)


@catches(SUBJECT, "sampling or self.sampling", "self.sampling")
@catches(SUBJECT, "self.solve(codes, noise, how).clamp(-1, 1)", "self.solve(codes, noise, how)")
def test_decoding_draws_its_noise_from_the_generator_and_clamps():
    model = small(sampling=FlowSampling(num_steps=2))
    tokens = torch.zeros(2, 10, dtype=torch.long)
    first, again, other = (model.decode(tokens, generator=seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (2, 3, 8, 8)
    assert first.abs().max() == 1
    assert model.decode(tokens, size=(12, 8)).shape == (2, 3, 12, 8)
    one_step = model.decode(tokens, sampling=FlowSampling(num_steps=1), generator=seeded(1))
    assert not torch.equal(first, one_step)


@catches(SUBJECT, "self.quantizer(self.features(images)).quantized", "self.quantizer(self.features(images)).codes")
def test_the_gradient_goes_to_the_images_and_to_every_parameter_that_is_read():
    model = small()
    images, x_t = (spread(name, (1, 3, 8, 8)).requires_grad_() for name in ("images", "noise"))
    model(images, x_t, torch.tensor([0.3])).square().sum().backward()
    assert images.grad.abs().sum() > 0
    assert x_t.grad.abs().sum() > 0
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    unread = {f"{layer}.{part}" for layer in ("proj", "up", "down") for part in ("weight", "bias")}
    assert without == {f"{side}.blocks.1.second.{name}" for side in ("encoder", "decoder") for name in unread}


@catches(SUBJECT, "size.width % (32 * size.num_heads)", "size.width % size.num_heads")
@catches(SUBJECT, '("B", self.num_places * self.quantizer.num_groups)', '("B", "N")')
@catches(SUBJECT, '        _check_sides("image_size", (image_size, image_size), patch_size)\n', "")
@catches(SUBJECT, '        _check_sides("size", sides, self.patch_size)\n', "")
@catches(SUBJECT, '        check_sides(x_t, self.patch_size, name="x_t")\n', "")
def test_what_does_not_fit_is_one_line():
    with pytest.raises(ValueError, match=r"encoder: expected a width of 32 channels a head .*width=48"):
        small(encoder=StackSize(48, 1, 2))
    with pytest.raises(ValueError, match=r"FlowTokenizer: expected sizes of at least 1, got decoder=.*depth=0"):
        small(decoder=StackSize(64, 0, 2))
    with pytest.raises(ValueError, match="num_groups must divide bits"):
        small(num_groups=4)
    with pytest.raises(ValueError, match=r"tokens: expected \(B, 10\), got \(2, 5\)"):
        small().decode(torch.zeros(2, 5, dtype=torch.long))
    with pytest.raises(ValueError, match=r"^image_size: expected sides divisible by patch_size 4, got \(10, 10\)$"):
        small(image_size=10)
    with pytest.raises(ValueError, match=r"^size: expected sides divisible by patch_size 4, got \(8, 6\)$"):
        small().decode(torch.zeros(2, 10, dtype=torch.long), size=(8, 6))
    with pytest.raises(ValueError, match=r"^x_t: expected \(B, 3, H, W\) .* by 4, got \(1, 3, 8, 6\)$"):
        small()(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 6), torch.zeros(1))
    with pytest.raises(ValueError, match=r"images: expected \(B, 3, H, W\) with sides divisible by 4"):
        small().encode(torch.zeros(1, 3, 8, 6))


@catches(SUBJECT, "torch.ones_like(codes[..., :1])], dim=-1).to(dtype)", "torch.ones_like(codes[..., :1])], dim=-1)")
@catches(SUBJECT, "x_t.to(dtype)", "x_t")
def test_in_bfloat16_tokens_become_float32_images():
    model, tokens = small(), torch.arange(20).view(2, 10) % 8
    assert_float32_images_in_bfloat16(model, lambda: model.decode(tokens, generator=seeded(0)))
