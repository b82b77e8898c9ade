"""The tokenizer's contract: shapes, round trips, what hidden tokens and guidance do, saving, errors."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from _support.mutants import catches
from _support.semtok_runs import generator, lively, pictures, tiny, tiny_tokenizer
from semtok.config import SamplerConfig
from semtok.draws import Draws
from semtok.model import SemTok
from semtok.tokenizer_config import TokenizerConfig

SUBJECT = "semtok.model"
FEW = SamplerConfig(num_steps=4)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer(refiner="constant")


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(64, (3, 4), generator=generator(1))


def calls_of(network, act):
    """What ``act`` gives, and the times at which it called the network."""
    times = []
    hook = network.register_forward_hook(lambda _, inputs, __: times.append(inputs[2][0].item()))
    result = act()
    hook.remove()
    return result, times


def test_encode_and_decode_have_the_documented_shapes(tokenizer):
    tokens = tokenizer.encode(pictures())
    assert (tokens.shape, tokens.dtype) == (torch.Size([3, 4]), torch.int64)
    assert bool(((tokens >= 0) & (tokens < 64)).all())
    for decode in (tokenizer.sample, tokenizer.refine, tokenizer.decode):
        images = decode(tokens, generator=generator())
        assert images.shape == (3, 1, 16, 16)
        assert images.dtype == torch.float32
        assert images.abs().max() <= 1
        assert not images.requires_grad


@settings(max_examples=10)
@given(num_tokens=st.integers(1, 9), bits=st.integers(2, 62), channels=st.sampled_from([1, 3]), batch=st.integers(1, 3))
def test_any_number_of_tokens_bits_and_channels(num_tokens, bits, channels, batch):
    model = tiny_tokenizer("constant", num_tokens=num_tokens, bits=bits, image_channels=channels, patch_size=2)
    images = pictures(batch, channels=channels)
    tokens = model.encode(images)
    assert tokens.shape == (batch, num_tokens)
    assert int(tokens.min()) >= 0
    assert int(tokens.max()) < 2**bits
    assert torch.equal(model.quantizer.codes_to_indices(model.codes(tokens)), tokens)
    torch.testing.assert_close(model.codes(tokens).norm(dim=-1), torch.ones(batch, num_tokens))
    assert model.reconstruct(images).shape == images.shape


@pytest.mark.parametrize("size", [(16, 32), (24, 24), (8, 12)])
def test_another_resolution_needs_no_retraining(tokenizer, size):
    images = torch.rand(2, 1, *size, generator=generator(3)) * 2 - 1
    assert tokenizer.encode(images).shape == (2, 4)
    assert tokenizer.reconstruct(images).shape == images.shape
    assert tokenizer.sample(tokenizer.encode(images), FEW, size=size, generator=generator()).shape == images.shape


def test_images_matter_to_tokens_and_tokens_to_images(tokenizer, tokens):
    encoded = tokenizer.encoder(pictures(8)).features
    assert encoded.std(0).min() > 1e-4
    other = (tokens + 31) % 64
    for decode in (tokenizer.sample, tokenizer.refine):
        one, two = (decode(given, generator=generator()) for given in (tokens, other))
        assert (one - two).abs().amax((1, 2, 3)).min() > 1e-4


@pytest.mark.parametrize("stage", ["sample", "refine"])
def test_hidden_tokens_do_not_matter_and_all_hidden_is_unconditional(tokenizer, tokens, stage):
    decode = getattr(tokenizer, stage)
    hidden = torch.tensor([[False, True, False, True]]).expand(3, -1)
    other = torch.where(hidden, 63 - tokens, tokens)
    one, two = (decode(given, FEW, hidden=hidden, generator=generator()) for given in (tokens, other))
    assert torch.equal(one, two)
    everything = torch.ones(3, 4, dtype=torch.bool)
    one, two = (decode(given, FEW, hidden=everything, generator=generator()) for given in (tokens, 63 - tokens))
    assert torch.equal(one, two)
    assert not torch.equal(one, decode(tokens, FEW, generator=generator()))


def test_with_everything_hidden_guidance_changes_nothing(tokenizer, tokens):
    everything = torch.ones(3, 4, dtype=torch.bool)
    plain, strong = (
        tokenizer.sample(tokens, FEW.model_copy(update={"guidance": scale}), hidden=everything, generator=generator())
        for scale in (1.0, 5.0)
    )
    torch.testing.assert_close(plain, strong, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(0.145, 0.505), (0.0, 1.0), (0.99, 1.0), (0.9, 0.95)])
def test_the_sampler_calls_the_decoder_once_a_step_and_twice_where_it_is_guided(tokenizer, tokens, low, high):
    sampler = SamplerConfig(num_steps=6, power=2.0, guidance=2.0, guidance_low=low, guidance_high=high)
    _, times = calls_of(tokenizer.decoder, lambda: tokenizer.sample(tokens, sampler, generator=generator()))
    grid = [(j / 6) ** 2 for j in range(6, 0, -1)]
    assert times == pytest.approx([t for t in grid for _ in range(2 if low <= t <= high else 1)])
    _, times = calls_of(
        tokenizer.decoder,
        lambda: tokenizer.sample(tokens, sampler.model_copy(update={"guidance": 1.0}), generator=generator()),
    )
    assert times == pytest.approx(grid)


def test_outside_the_interval_guidance_has_no_effect(tokenizer, tokens):
    never = {"power": 1.0, "guidance_low": 0.6, "guidance_high": 0.7}
    plain, strong = (
        tokenizer.sample(tokens, SamplerConfig(num_steps=4, guidance=scale, **never), generator=generator())
        for scale in (1.0, 9.0)
    )
    assert torch.equal(plain, strong)
    inside = SamplerConfig(num_steps=4, power=1.0, guidance=9.0, guidance_low=0.4, guidance_high=0.6)
    assert not torch.equal(plain, tokenizer.sample(tokens, inside, generator=generator()))


@pytest.mark.parametrize("kind", ["constant", "noise"])
def test_refining_is_exactly_one_call(kind, tokens):
    model = tiny_tokenizer(kind)
    act = lambda: model.refine(tokens, FEW, generator=generator())  # noqa: E731
    assert calls_of(model.refiner.network, act)[1] == [1.0]
    assert calls_of(model.decoder, act)[1] == []


def test_refining_a_sample_is_the_sampler_and_one_call(tokens):
    model = tiny_tokenizer("sample")
    act = lambda: model.refine(tokens, FEW, generator=generator())  # noqa: E731
    assert calls_of(model.refiner.network, act)[1] == [0.0]
    assert len(calls_of(model.decoder, act)[1]) >= FEW.num_steps


def test_decode_refines_where_it_can_and_samples_where_it_cannot(tokenizer, tokens):
    plain = tiny_tokenizer()
    assert torch.equal(plain.decode(tokens, generator=generator()), plain.sample(tokens, generator=generator()))
    assert torch.equal(tokenizer.decode(tokens), tokenizer.refine(tokens))
    with pytest.raises(ValueError, match="refine: this tokenizer has no refiner"):
        plain.refine(tokens)


def test_a_seed_fixes_the_noise_and_the_constant_refiner_needs_none(tokenizer, tokens):
    for decode, varies in ((tokenizer.sample, True), (tokenizer.refine, False), (tiny_tokenizer("noise").refine, True)):
        one, same, other = (decode(tokens, FEW, generator=generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(one, same)
        assert torch.equal(one, other) is not varies


@catches(SUBJECT, "torch.ones(codes", "torch.zeros(codes")
@catches("semtok.sampling", "power=settings.power", "power=1.0")
@catches("semtok.sampling", "settings.guidance_high)", "1.0)")
def test_the_sampler_follows_the_guided_velocity():
    """Euler on the grid ``(j / n) ** p`` by hand, the unconditional field being that with everything hidden."""
    tokenizer, noise = tiny_tokenizer(model=SemTok), torch.randn(3, 1, 16, 16, generator=generator(1))
    codes = torch.randn(3, 4, 6, generator=generator(12)).sign() / 6**0.5
    settings = SamplerConfig(num_steps=3, power=2.0, guidance=2.0, guidance_low=0.2, guidance_high=0.5)
    with torch.no_grad():
        x = noise
        for now, then, scale in ((1.0, 4 / 9, 1.0), (4 / 9, 1 / 9, 2.0), (1 / 9, 0.0, 1.0)):
            t = torch.full((3,), now)
            known = tokenizer.decoder(x, codes, t)
            unknown = tokenizer.decoder(x, codes, t, torch.ones(3, 4, dtype=torch.bool))
            x = x + (then - now) * (unknown + scale * (known - unknown))
        torch.testing.assert_close(tokenizer.solve(codes, noise, settings), x, rtol=1e-4, atol=1e-5)


def test_more_steps_come_closer_to_the_flows_end(tokenizer, tokens):
    """Euler's error falls with the number of steps: the field does not depend on how it is sampled."""
    codes, noise = tokenizer.codes(tokens), torch.randn(3, 1, 16, 16, generator=generator(5))
    ends = []
    with torch.no_grad():
        for steps in (2, 8, 32, 96):
            settings = SamplerConfig(num_steps=steps, power=1.0, guidance=1.0)
            ends.append(tokenizer.solve(codes, noise, settings))
    distances = [(end - ends[-1]).norm().item() for end in ends[:-1]]
    assert all(later < earlier for earlier, later in pairwise(distances))


@pytest.mark.parametrize("refiner", [None, "constant", "noise", "sample"])
def test_saved_and_loaded_is_the_same_to_the_bit(refiner, tokens, tmp_path):
    model = tiny_tokenizer(refiner)
    model.save_pretrained(tmp_path)
    loaded = SemTok.from_pretrained(tmp_path).eval()
    assert loaded.settings == model.settings
    assert (loaded.refiner is None) == (refiner is None)
    assert torch.equal(loaded.encode(pictures()), model.encode(pictures()))
    for stage in ("sample", "decode"):
        one, two = (getattr(each, stage)(tokens, generator=generator()) for each in (loaded, model))
        assert torch.equal(one, two)


@catches(SUBJECT, "path.x_t, path.velocity", "path.x_t, -path.velocity")
@catches(SUBJECT, "flow_path(x, draws.noise,", "flow_path(draws.noise, x,")
@catches(SUBJECT, "quantized, draws.t, draws.hidden, draws", "encoded.features, draws.t, draws.hidden, draws")
def test_forward_gives_the_path_the_velocity_and_what_the_decoder_says_of_them():
    """In float64 from the definitions."""
    tokenizer, images, t = tiny_tokenizer(model=SemTok), pictures(), torch.tensor([0.2, 0.5, 0.9])
    noise, hidden = torch.randn(3, 1, 16, 16, generator=generator(1)), torch.arange(4) >= torch.tensor([[4], [2], [0]])
    out = tokenizer(images, Draws(t, noise, hidden))
    time = t.double()[:, None, None, None]
    x_t = (1 - time) * images.double() + time * noise.double()
    codes = F.normalize(out.features, dim=-1).sign() / 6**0.5
    torch.testing.assert_close(out.x_t.double(), x_t, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out.velocity, noise - images)
    predicted = tokenizer.decoder(x_t.float(), codes, t, hidden)
    torch.testing.assert_close(out.predicted, predicted, rtol=1e-4, atol=1e-5)


def test_forward_begins_at_the_image_and_ends_at_the_noise(tokenizer):
    noise, hidden = torch.randn(3, 1, 16, 16, generator=generator(6)), torch.zeros(3, 4, dtype=torch.bool)
    out = tokenizer(pictures(), Draws(torch.tensor([0.0, 0.5, 1.0]), noise, hidden))
    assert torch.equal(out.x_t[0], pictures()[0])
    assert torch.equal(out.x_t[2], noise[2])
    assert torch.equal(out.velocity, noise - pictures())
    assert out.patches.shape == (3, 4, 4, 16)
    assert out.features.shape == out.quantized.shape == (3, 4, 6)
    torch.testing.assert_close(out.quantized, tokenizer.codes(tokenizer.encode(pictures())))


def test_an_untrained_decoder_starts_at_zero():
    torch.manual_seed(0)
    model = SemTok(
        TokenizerConfig(
            image_size=16,
            image_channels=1,
            patch_size=4,
            num_tokens=4,
            bits=6,
            encoder_width=16,
            encoder_depth=1,
            encoder_heads=2,
            decoder_width=16,
            decoder_depth=1,
            decoder_heads=2,
        )
    )
    noise = torch.randn(1, 1, 16, 16)
    assert model.decoder(noise, torch.randn(1, 4, 6), torch.ones(1)).abs().max() == 0
    assert lively(model).decoder(noise, torch.randn(1, 4, 6), torch.ones(1)).abs().max() > 0


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 16, 16), r"expected \(B, 1, H, W\), got \(2, 3, 16, 16\)"),
        ((16, 16), r"expected \(B, 1, H, W\), got \(16, 16\)"),
        ((1, 1, 18, 16), "divisible by 4, got 18x16; 16x16 would fit"),
        ((1, 1, 0, 16), "divisible by 4, got 0x16; 4x16 would fit"),
    ],
)
def test_images_that_do_not_fit_are_refused(tokenizer, shape, message):
    with pytest.raises(ValueError, match=message):
        tokenizer.encode(torch.zeros(shape))


@pytest.mark.parametrize("stage", ["sample", "refine", "decode"])
def test_tokens_and_sizes_that_do_not_fit_are_refused(tokenizer, tokens, stage):
    with pytest.raises(ValueError, match=r"tokens: expected \(B, 4\), or fewer of each image, got \(3, 5\)"):
        getattr(tokenizer, stage)(torch.cat([tokens, tokens[:, :1]], dim=1))
    with pytest.raises(ValueError, match="size: expected sides divisible by 4, got 16x18"):
        getattr(tokenizer, stage)(tokens, size=(16, 18))


@pytest.mark.parametrize("refiner", [None, "sample"])
def test_the_sampler_lies_with_the_weights(refiner, tokens, tmp_path):
    """What is not said at the call is as it was said at the start, after loading too; the call has the last word."""
    torch.manual_seed(0)
    model = lively(SemTok(tiny().tokenizer, refiner, SamplerConfig(num_steps=2, guidance=1.0))).eval()
    model.save_pretrained(tmp_path)
    loaded = SemTok.from_pretrained(tmp_path).eval()
    assert loaded.sampler == model.sampler
    assert len(calls_of(loaded.decoder, lambda: loaded.decode(tokens))[1]) == 2
    assert (
        len(calls_of(loaded.decoder, lambda: loaded.sample(tokens, FEW.model_copy(update={"guidance": 1.0})))[1]) == 4
    )


def test_images_of_a_half_precision_pass_are_float32_and_finite(tokenizer, tokens):
    with torch.autocast("cpu", torch.bfloat16):
        for images in (tokenizer.sample(tokens, FEW), tokenizer.refine(tokens)):
            assert images.dtype == torch.float32
            assert bool(images.isfinite().all())


class InDoubles:
    """A space whose latents are of another dtype than its images."""

    def encode(self, images):
        return F.pixel_unshuffle(images, 2).double()

    def decode(self, latents):
        return F.pixel_shuffle(latents, 2)


@catches(SUBJECT, "seen.to(self.decoder.unseen.dtype)", "seen")
@catches("semtok.decoder", "x_t.to(self.unseen.dtype), codes.to", "x_t, codes.to")
@catches("semtok.decoder", "codes.to(self.unseen.dtype)\n", "codes\n")
def test_images_of_any_float_dtype_pass_through_weights_of_any():
    exact = tiny_tokenizer("constant", model=SemTok)
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        images = pictures().to(dtype)
        assert exact.to_space(images).dtype == torch.float32
        assert torch.equal(exact.features(images), exact.features(images.float()))
        assert exact.reconstruct(images).dtype == torch.float32
    space = {"space_channels": 4, "space_stride": 2, "patch_size": 2}
    for kind in (None, "constant", "noise", "sample", "mean_flow"):
        for changes in ({}, {**space, "space": InDoubles()}):
            model = tiny_tokenizer(kind, model=SemTok, **changes)
            tokens = model.encode(pictures())
            wanted = model.decode(tokens, generator=generator())
            model.to(torch.bfloat16)
            assert model.encode(pictures()).shape == tokens.shape
            found = model.decode(tokens, generator=generator())
            assert found.dtype == torch.float32
            assert 0 < (found - wanted).abs().mean() < 0.05
    for refused in (exact.encode, exact.features):
        with pytest.raises(TypeError, match=r"^images: expected floats in \[-1, 1\], got torch.uint8$"):
            refused(torch.zeros(1, 1, 16, 16, dtype=torch.uint8))


@catches(SUBJECT, "        check_values(images)\n", "")
def test_8_bit_values_as_floats_are_refused():
    model = tiny_tokenizer(model=SemTok)
    for refused in (model.encode, model.reconstruct):
        with pytest.raises(ValueError, match=r"^images: expected values in \[-1, 1\], got up to 255$"):
            refused(torch.full((1, 1, 16, 16), 255.0))
