"""What each kind of generator is given of the tokens, and how its samples become images."""

import pytest
import torch

from _support.glotok_runs import tiny
from _support.mutants import catches
from _support.precision import with_bfloat16
from _support.tokens_in_memory import in_memory
from glotok.encode import TokenCache
from glotok.generator import build_generator, from_streams, generate, generator_inputs, to_streams
from glotok.model import GloTok, Tokens
from vistok.generators import MaskedSampling
from vistok.workbench.tokens.latent_scale import LatentScale

SUBJECT = "glotok.generator"


def random_tokens(config, count=3):
    sizes, grid = config.tokenizer, config.tokenizer.grid_size
    draws = torch.Generator().manual_seed(0)
    books = (sizes.semantic_codebook_size, sizes.visual_codebook_size)
    return Tokens(*(torch.randint(size, (count, grid, grid), generator=draws) for size in books))


def cache_of(config, tokenizer, scale):
    """A cache of random tokens whose latents have another mean and deviation than the codes."""
    tokens, channels = random_tokens(config), 2 * config.tokenizer.code_dim
    books = (tokenizer.quantizer.semantic, tokenizer.quantizer.visual)
    codes = [book.indices_to_codes(torch.arange(book.codebook_size)[None])[0].T.detach() for book in books]
    mean, std = torch.full((channels, 1, 1), 3.0), torch.full((channels, 1, 1), scale)
    shards = in_memory(torch.arange(3), semantic=tokens.semantic[:, None].int(), visual=tokens.visual[:, None].int())
    return TokenCache(shards, *codes, LatentScale(mean, std))


@catches(SUBJECT, "[tokens.visual.flatten(1), tokens.semantic.flatten(1)]", "[tokens.semantic.flatten(1)] * 2")
@catches(SUBJECT, "visual, semantic = streams", "semantic, visual = streams")
def test_streams_are_visual_then_semantic_in_row_major_order_and_turn_back():
    tokens = random_tokens(tiny())
    grid = tokens.visual.shape[-1]
    streams = to_streams(tokens)
    for row, column in ((0, 0), (0, 1), (grid - 1, 0)):
        expected = torch.stack([tokens.visual[:, row, column], tokens.semantic[:, row, column]], dim=-1)
        assert torch.equal(streams[:, row * grid + column], expected)
    back = from_streams(streams, grid)
    assert torch.equal(back.semantic, tokens.semantic)
    assert torch.equal(back.visual, tokens.visual)


@catches(SUBJECT, "latents = scale.unscale(drawn.cpu())", "latents = drawn.cpu()")
@catches(
    SUBJECT, "tokenizer.decode(tokenizer.snap(latents)) if settings.snap", "tokenizer.decode(latents) if settings.snap"
)
def test_what_xar_draws_is_unscaled_and_snapped_before_it_is_decoded():
    config = tiny()
    torch.manual_seed(0)
    tokenizer = GloTok(config.tokenizer).eval()
    cache = cache_of(config, tokenizer, scale=0.2)
    wanted = cache.tokens(torch.arange(3))

    class Oracle:
        """A generator that knows the latents."""

        def sample(self, labels, **_):
            return cache.latents(wanted)

    tokenizer.decode = lambda tokens: tokens
    settings = config.generators["xar"].samples["default"].model_copy(update={"snap": True})
    tokens = generate(Oracle(), tokenizer, cache.scale, torch.arange(3), settings, torch.Generator())
    assert torch.equal(tokens.semantic, wanted.semantic)
    assert torch.equal(tokens.visual, wanted.visual)


@catches(SUBJECT, "if isinstance(settings, XARConfig) else", "if not isinstance(settings, XARConfig) else")
@pytest.mark.parametrize("name", ["xar", "far", "masked"])
def test_each_kind_can_take_what_it_is_given_and_gives_images(name):
    config = tiny()
    torch.manual_seed(0)
    tokenizer, model = GloTok(config.tokenizer).eval(), build_generator(config, name, 3)
    cache = cache_of(config, tokenizer, scale=1.0)
    given = generator_inputs(config.generators[name], cache, cache.tokens(torch.arange(3)))
    loss = model.loss(given, cache.labels, generator=torch.Generator().manual_seed(0))
    assert loss.isfinite()
    settings = config.generators[name].samples["default"]
    images = generate(model.eval(), tokenizer, cache.scale, torch.arange(3), settings, torch.Generator().manual_seed(0))
    assert images.shape == (3, 1, 16, 16)
    assert images.abs().max() <= 1


@catches(SUBJECT, "with mixed_precision(labels.device, settings.mixed_precision):", "with torch.no_grad():")
def test_the_generator_alone_draws_in_the_precision_of_the_sample_set(monkeypatch):
    with_bfloat16(monkeypatch)
    config, seen = tiny(), []
    tokenizer = GloTok(config.tokenizer).eval()
    tokenizer.decoder.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))

    class Watched:
        length, num_units = 4, 2

        def sample(self, labels, **_):
            seen.append(torch.is_autocast_enabled("cpu"))
            return to_streams(random_tokens(config))

    for precision, expected in (("bf16", True), ("no", False)):
        settings = config.generators["masked"].samples["default"].model_copy(update={"mixed_precision": precision})
        generate(Watched(), tokenizer, None, torch.arange(3), settings, torch.Generator())
        assert seen == [expected, False]
        seen.clear()


@catches(SUBJECT, "MaskedSampling(refresh_every=settings.refresh_every)", "MaskedSampling()")
def test_a_sample_set_says_how_often_masked_ar_runs_all_positions():
    config = tiny("generators.masked.samples.default.refresh_every=3")
    tokenizer, model, asked = GloTok(config.tokenizer).eval(), build_generator(config, "masked", 3).eval(), []
    original = model.sample
    model.sample = lambda labels, **given: asked.append(given["settings"]) or original(labels, **given)
    settings = config.generators["masked"].samples["default"]
    generate(model, tokenizer, None, torch.arange(3), settings, torch.Generator().manual_seed(0))
    assert asked == [MaskedSampling(refresh_every=3)]
