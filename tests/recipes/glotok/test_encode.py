"""Cached tokens scale and flip exactly."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.few_images import few_images
from _support.glotok_runs import tiny
from _support.mutants import catches
from _support.tokens_in_memory import in_memory
from glotok.encode import TokenCache, code_moments, encode_data_set, load_tokens
from glotok.model import GloTok
from glotok.paths import RunPaths
from vistok.workbench.tokens.latent_scale import LatentScale

SUBJECT = "glotok.encode"


def cache(seed, count=5, grid=3, sizes=(7, 11)):
    generator = torch.Generator().manual_seed(seed)
    semantic_codes, visual_codes = (torch.randn(size, 8, generator=generator) for size in sizes)
    semantic, visual = (torch.randint(size, (count, 1, grid, grid), generator=generator) for size in sizes)
    shards = in_memory(semantic=semantic.int(), visual=visual.int())
    counts = shards.counts("visual", sizes[1]), shards.counts("semantic", sizes[0])
    moments = [code_moments(codes, each) for codes, each in zip((visual_codes, semantic_codes), counts, strict=True)]
    mean, std = (torch.cat([pair[i] for pair in moments])[:, None, None] for i in (0, 1))
    return TokenCache(shards, semantic_codes, visual_codes, LatentScale(mean, std))


@catches(SUBJECT, "variance = (weights * (codes.double() - mean).square()).sum(0)", "variance = codes.double().var(0)")
@given(st.integers(0, 10_000))
def test_latents_have_mean_zero_and_deviation_one_over_the_cached_set(seed):
    tokens = cache(seed)
    latents = tokens.latents(tokens.tokens(torch.arange(5))).double()
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(16, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        latents.std((0, 2, 3), correction=0), torch.ones(16, dtype=torch.float64), atol=1e-4, rtol=0
    )


@catches(
    SUBJECT,
    "[self.visual_codes[tokens.visual], self.semantic_codes[tokens.semantic]]",
    "[self.semantic_codes[tokens.semantic], self.visual_codes[tokens.visual]]",
)
@given(st.integers(0, 10_000))
def test_unscaling_gives_the_codes_back_visual_first(seed):
    tokens = cache(seed)
    picked = tokens.tokens(torch.tensor([2, 0]))
    codes = torch.cat([tokens.visual_codes[picked.visual], tokens.semantic_codes[picked.semantic]], -1).permute(
        0, 3, 1, 2
    )
    torch.testing.assert_close(tokens.scale.unscale(tokens.latents(picked)), codes, atol=1e-5, rtol=1e-4)


@catches(SUBJECT, "for kind in Tokens._fields))", "for kind in Tokens._fields[::-1]))")
@catches(
    SUBJECT, "zip(Tokens._fields, tokenizer.codebook_sizes,", "zip(Tokens._fields[::-1], tokenizer.codebook_sizes,"
)
@catches(SUBJECT, '(("visual", visual_codes), ("semantic", semantic_codes))', '2 * (("visual", visual_codes),)')
@catches(SUBJECT, "config.data.token_variants)", '{"unflipped": lambda images: images})')
@pytest.mark.parametrize("flips", [True, False])
def test_the_cache_gives_tokens_and_scaled_latents_of_the_trained_tokenizer_without_it(tmp_path, monkeypatch, flips):
    few_images(monkeypatch)
    config, paths = tiny(f"data.horizontal_flip={str(flips).lower()}"), RunPaths(tmp_path)
    torch.manual_seed(0)
    tokenizer = GloTok(config.tokenizer).eval()
    tokenizer.save_pretrained(paths.tokenizer)
    encode_data_set(config, paths)
    stored, train = load_tokens(paths), config.data.load().train
    assert stored.shards.variants == (("unflipped", "flipped") if flips else ("unflipped",))
    picked = torch.tensor([3, 121, 11])
    images = train.batch(picked)
    for variant, view in enumerate([images, images.flip(-1)][: 1 + flips]):
        found, wanted = stored.tokens(picked, torch.full((3,), variant)), tokenizer.encode(view)
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
        torch.testing.assert_close(stored.scale.unscale(stored.latents(found)), tokenizer.latents(wanted))
    everything = torch.arange(len(stored))
    parts = [stored.latents(stored.tokens(everything, torch.full_like(everything, v))) for v in range(1 + flips)]
    assert torch.cat(parts).double().mean((0, 2, 3)).abs().max() < 1e-4
    assert torch.equal(stored.labels, train.labels)
