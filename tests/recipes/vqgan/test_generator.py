"""What each kind of generator is given of the tokens, and how its samples become images."""

import pytest
import torch

from _support.mutants import catches
from _support.precision import with_bfloat16
from _support.tokens_in_memory import in_memory
from _support.vqgan_runs import QUANTIZERS, tiny, with_quantizer
from vistok.generators import BitTokens, IdTokens
from vistok.workbench.tokens.latent_scale import LatentScale
from vqgan.encode import TokenCache
from vqgan.generator import build_generator, generate, generator_inputs, token_units
from vqgan.model import VQGAN

SUBJECT = "vqgan.generator"
BITS = "generators.masked.num_groups=3"


def parts(*changes, count=3):
    """A configuration, its tokenizer and a cache of random tokens."""
    config = tiny(*changes)
    torch.manual_seed(0)
    tokenizer, grid = VQGAN(config.tokenizer).eval(), config.tokenizer.grid_size
    streams = torch.stack([torch.randint(size, (1, count, grid, grid)) for size in tokenizer.codebook_sizes], dim=2)
    shards = in_memory(torch.arange(count), streams=streams[0].unsqueeze(1).int())
    mean, std = (torch.full((config.tokenizer.quantizer.code_dim, 1, 1), value) for value in (3.0, 0.2))
    return config, tokenizer, TokenCache(shards, LatentScale(mean, std), tokenizer.quantizer)


class Oracle:
    """A generator that knows what to draw."""

    length, num_units = 64, 2

    def __init__(self, drawn, tokens=None):
        self.drawn, self.tokens = drawn, tokens

    def sample(self, labels, **_):
        return self.drawn


def back(config, tokenizer, cache, name, model):
    """The tokens that the samples of a generator are decoded from."""
    tokenizer.decode = lambda tokens: tokens
    settings = config.generators[name].samples["default"]
    return generate(model, tokenizer, cache.scale, cache.labels, settings, torch.Generator())


def assert_same(found, wanted):
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@catches(SUBJECT, "[stream.flatten(1) for stream in tokens]", "[stream.mT.flatten(1) for stream in tokens]")
@catches(SUBJECT, "drawn.unflatten(1, square).unbind(-1)", "drawn.unflatten(1, square).flip(-1).unbind(-1)")
def test_streams_are_in_row_major_order_stage_by_stage_and_turn_back():
    config, tokenizer, cache = parts(with_quantizer("residual"))
    tokens = cache.tokens(torch.arange(3))
    streams = generator_inputs(config, config.generators["far"], cache, tokens)
    grid = config.tokenizer.grid_size
    for row, column in ((0, 0), (0, 1), (grid - 1, 0)):
        expected = torch.stack([stream[:, row, column] for stream in tokens], dim=-1)
        assert torch.equal(streams[:, row * grid + column], expected)
    assert_same(back(config, tokenizer, cache, "far", Oracle(streams)), tokens)


@catches(SUBJECT, "latents = scale.unscale(drawn.cpu())", "latents = drawn.cpu()")
def test_what_xar_draws_is_unscaled_and_snapped_before_it_is_decoded():
    config, tokenizer, cache = parts(with_quantizer("fsq"))
    tokens = cache.tokens(torch.arange(3))
    latents = generator_inputs(config, config.generators["xar"], cache, tokens)
    torch.testing.assert_close(latents * 0.2 + 3.0, cache.codes(tokens))
    assert_same(back(config, tokenizer, cache, "xar", Oracle(latents)), tokens)


@catches(
    SUBJECT, "units.to_groups(cache.codes(tokens).flatten(2).mT)", "units.to_groups(-cache.codes(tokens).flatten(2).mT)"
)
@catches(SUBJECT, "model.tokens.to_bits(drawn).mT", "model.tokens.to_bits(drawn.flip(-1)).mT")
def test_groups_of_bits_are_the_signs_of_the_code_and_turn_back_for_both_orders_of_bits():
    for name in ("bsq", "lfq"):
        config, tokenizer, cache = parts(with_quantizer(name), BITS)
        tokens = cache.tokens(torch.arange(3))
        units = token_units(config, config.generators["masked"])
        assert units == BitTokens(6, 3)
        groups = generator_inputs(config, config.generators["masked"], cache, tokens)
        signs = cache.codes(tokens).flatten(2)
        for group in range(3):
            low, high = (signs[:, 2 * group + bit] > 0 for bit in (0, 1))
            assert torch.equal(groups[..., group], low.long() + 2 * high.long())
        assert_same(back(config, tokenizer, cache, "masked", Oracle(groups, units)), tokens)


@catches(SUBJECT, "return IdTokens(quantizer.codebook_sizes)", "return IdTokens(quantizer.codebook_sizes[:1])")
def test_without_groups_a_position_is_an_id_for_each_stream():
    for name, sizes in (("gradient", (24,)), ("residual", (16, 16)), ("fsq", (36,)), ("lfq", (8, 8)), ("bsq", (64,))):
        config = tiny(with_quantizer(name))
        for generator in ("far", "masked"):
            assert token_units(config, config.generators[generator]) == IdTokens(sizes)


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("name", ["xar", "far", "masked"])
def test_each_kind_can_take_what_it_is_given_and_gives_images(name, quantizer):
    config, tokenizer, cache = parts(with_quantizer(quantizer), *([BITS] if quantizer in ("bsq", "lfq") else []))
    model = build_generator(config, name, 3)
    given = generator_inputs(config, config.generators[name], cache, cache.tokens(torch.arange(3)))
    assert model.loss(given, cache.labels, generator=torch.Generator().manual_seed(0)).isfinite()
    settings = config.generators[name].samples["default"]
    images = generate(model.eval(), tokenizer, cache.scale, torch.arange(3), settings, torch.Generator().manual_seed(0))
    assert images.shape == (3, 1, 16, 16)
    assert images.abs().max() <= 1


@catches(SUBJECT, "with mixed_precision(labels.device, settings.mixed_precision):", "with torch.no_grad():")
def test_the_generator_alone_draws_in_the_precision_of_the_sample_set(monkeypatch):
    with_bfloat16(monkeypatch)
    config, tokenizer, cache = parts()
    seen = []
    tokenizer.decoder.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))

    class Watched(Oracle):
        def sample(self, labels, **_):
            seen.append(torch.is_autocast_enabled("cpu"))
            return torch.zeros(3, 64, 1, dtype=torch.int64)

    for precision, expected in (("bf16", True), ("no", False)):
        settings = config.generators["masked"].samples["default"].model_copy(update={"mixed_precision": precision})
        generate(Watched(None), tokenizer, cache.scale, torch.arange(3), settings, torch.Generator())
        assert seen == [expected, False]
        seen.clear()
