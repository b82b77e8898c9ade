"""Cached tokens scale and flip exactly."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.glotok_runs import tiny
from _support.mutants import catches
from glotok.encode import TokenCache, code_moments, encode_images
from glotok.model import GloTok
from vistok.workbench.data import load_images

SUBJECT = "glotok.encode"


def cache(seed, flips=1, count=5, grid=3, sizes=(7, 11)):
    generator = torch.Generator().manual_seed(seed)
    semantic_codes, visual_codes = (torch.randn(size, 8, generator=generator) for size in sizes)
    semantic, visual = (torch.randint(size, (flips, count, grid, grid), generator=generator) for size in sizes)
    moments = [code_moments(visual_codes, visual), code_moments(semantic_codes, semantic)]
    mean, std = (torch.cat([pair[i] for pair in moments])[:, None, None] for i in (0, 1))
    return TokenCache(semantic.int(), visual.int(), torch.zeros(count).long(), semantic_codes, visual_codes, mean, std)


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
    torch.testing.assert_close(tokens.unscale(tokens.latents(picked)), codes, atol=1e-5, rtol=1e-4)


@catches(SUBJECT, "variant = flips.long()", "variant = (~flips).long()")
def test_flips_pick_the_flipped_variant_where_it_is_cached():
    tokens = cache(0, flips=2)
    picked = tokens.tokens(torch.tensor([1, 1]), torch.tensor([False, True]))
    assert torch.equal(picked.semantic[0], tokens.semantic[0, 1].long())
    assert torch.equal(picked.visual[1], tokens.visual[1, 1].long())
    alone = cache(0)
    assert torch.equal(alone.tokens(torch.tensor([1]), torch.tensor([True])).visual[0], alone.visual[0, 1].long())


@catches(SUBJECT, "kept[chunk] = given", "kept[: len(chunk)] = given")
@catches(SUBJECT, "zip(tokens, tokenizer.encode(", "zip(tokens[::-1], tokenizer.encode(")
def test_a_data_set_is_encoded_in_order_whatever_the_batch_size():
    config = tiny()
    tokenizer = GloTok(config.tokenizer).eval()
    images = load_images("digits", image_size=16).validation
    small, large = (encode_images(tokenizer, images, batch_size=size) for size in (70, 250))
    assert all(torch.equal(a, b) for a, b in zip(small, large, strict=True))
    wanted = tokenizer.encode(images.batch(range(250, 260)))
    assert all(torch.equal(a[250:260].long(), b) for a, b in zip(small, wanted, strict=True))
    assert {tokens.dtype for tokens in small} == {torch.int32}
