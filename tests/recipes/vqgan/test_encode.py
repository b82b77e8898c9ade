"""Cached tokens scale and flip exactly, whatever made them."""

import pytest
import torch

from _support.few_images import few_images
from _support.mutants import catches
from _support.tokens_in_memory import in_memory
from _support.vqgan_runs import QUANTIZERS, tiny, with_quantizer
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.tokens.latent_scale import LatentScale
from vqgan.encode import STREAMS, TokenCache, all_tokens, channel_moments, encode_data_set, load_tokens, token_coder
from vqgan.model import VQGAN

SUBJECT = "vqgan.encode"


def cache(name="gradient", seed=0, count=5, grid=3):
    torch.manual_seed(seed)
    settings = tiny(with_quantizer(name)).tokenizer.quantizer
    streams = torch.stack([torch.randint(size, (count, grid, grid)) for size in settings.codebook_sizes], dim=1)
    shards, quantizer = in_memory(streams=streams[:, None].int()), settings.build().eval()
    made = TokenCache(shards, LatentScale(torch.zeros(()), torch.ones(())), quantizer)
    return TokenCache(shards, LatentScale(*channel_moments(iter(made.codes(streams.unbind(1)).split(2)))), quantizer)


@catches(SUBJECT, "count + len(rows), total + rows.sum(0)", "count + 1, total + rows.mean(0)")
@catches(SUBJECT, "squares / count - mean.square()", "squares / count")
@catches(SUBJECT, "self.scale.scale(self.codes(tokens))", "self.codes(tokens)")
def test_latents_have_mean_zero_and_deviation_one_over_the_cached_set():
    for name in QUANTIZERS:
        tokens = cache(name)
        latents = tokens.latents(tokens.tokens(torch.arange(5))).double()
        assert latents.mean((0, 2, 3)).abs().max() < 1e-4
        deviation = latents.std((0, 2, 3), correction=0)
        torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-3, rtol=0)


def test_unscaling_gives_the_codes_back():
    for name in QUANTIZERS:
        tokens = cache(name)
        picked = tokens.tokens(torch.tensor([2, 0]))
        torch.testing.assert_close(
            tokens.scale.unscale(tokens.latents(picked)), tokens.codes(picked), atol=1e-5, rtol=1e-4
        )


@catches(
    SUBJECT, "part % len(shards), part // len(shards)", "part // len(shards.variants), part % len(shards.variants)"
)
@catches(SUBJECT, "torch.arange(len(shards.variants) * len(shards))", "torch.arange(len(shards))")
def test_all_tokens_are_the_first_variant_of_all_images_before_the_second():
    streams = torch.arange(5 * 2 * 3).view(5, 2, 3, 1, 1)
    parts = list(all_tokens(in_memory(streams=streams)))
    found = torch.stack([torch.cat(stream) for stream in zip(*parts, strict=True)], dim=1)
    assert torch.equal(found, torch.cat([streams[:, 0], streams[:, 1]]))


@catches(SUBJECT, "torch.stack(tokenizer.encode(images), dim=1)", "torch.stack(tokenizer.encode(images)[::-1], dim=1)")
@catches(SUBJECT, "max(tokenizer.codebook_sizes)", "max(tokenizer.codebook_sizes) // 2")
@pytest.mark.parametrize("name", ["lfq", "residual"])
def test_streams_are_stacked_in_order(name):
    torch.manual_seed(0)
    tokenizer = VQGAN(tiny(with_quantizer(name)).tokenizer).eval()
    images = torch.rand(6, 1, 16, 16) * 2 - 1
    coder, wanted = token_coder(tokenizer), tokenizer.encode(images)
    assert not torch.equal(*wanted)
    assert torch.equal(coder.encode(images)[STREAMS], torch.stack(wanted, dim=1))
    assert coder.sizes == {STREAMS: tokenizer.codebook_sizes[0]}


@catches(SUBJECT, "quantizer.load_state_dict(", "dict(")
@catches(SUBJECT, "config.data.token_variants)", '{"unflipped": lambda images: images})')
def test_the_file_gives_the_codes_of_the_trained_quantizer_without_the_tokenizer(tmp_path, monkeypatch):
    few_images(monkeypatch)
    config = tiny(with_quantizer("residual"), "data.horizontal_flip=true")
    torch.manual_seed(0)
    tokenizer, paths = VQGAN(config.tokenizer).eval(), RunPaths(tmp_path)
    tokenizer.save_pretrained(paths.tokenizer)
    encode_data_set(config, paths)
    stored, train = load_tokens(config, paths), config.data.load().train
    picked = torch.tensor([3, 11])
    wanted = tokenizer.encode(train.batch(picked).flip(-1))
    found = stored.tokens(picked, torch.tensor([1, 1]))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert torch.equal(stored.codes(found), tokenizer.codes(wanted))
    assert torch.equal(stored.labels, train.labels)
