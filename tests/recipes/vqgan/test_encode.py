"""Cached tokens scale and flip exactly, whatever made them."""

import torch

from _support.mutants import catches
from _support.vqgan_runs import QUANTIZERS, tiny, with_quantizer
from vistok.workbench.data import load_images
from vqgan.encode import TokenCache, channel_moments, encode_data_set, encode_images, load_tokens
from vqgan.model import VQGAN
from vqgan.paths import RunPaths

SUBJECT = "vqgan.encode"


def cache(name="gradient", seed=0, flips=1, count=5, grid=3):
    torch.manual_seed(seed)
    settings = tiny(with_quantizer(name)).tokenizer.quantizer
    streams = torch.stack([torch.randint(size, (flips, count, grid, grid)) for size in settings.codebook_sizes])
    quantizer = settings.build().eval()
    tokens = tuple(stream[0] for stream in streams)
    made = TokenCache(streams.int(), torch.zeros(count).long(), torch.zeros(()), torch.ones(()), quantizer)
    mean, std = channel_moments(iter(made.codes(tokens).split(2)))
    return TokenCache(streams.int(), made.labels, mean, std, quantizer)


@catches(SUBJECT, "count + len(rows), total + rows.sum(0)", "count + 1, total + rows.mean(0)")
@catches(SUBJECT, "squares / count - mean.square()", "squares / count")
@catches(SUBJECT, "(self.codes(tokens) - self.mean) / self.std", "self.codes(tokens) / self.std - self.mean")
def test_latents_have_mean_zero_and_deviation_one_over_the_cached_set():
    for name in QUANTIZERS:
        tokens = cache(name)
        latents = tokens.latents(tokens.tokens(torch.arange(5))).double()
        assert latents.mean((0, 2, 3)).abs().max() < 1e-4
        deviation = latents.std((0, 2, 3), correction=0)
        torch.testing.assert_close(deviation, torch.ones_like(deviation), atol=1e-3, rtol=0)


@catches(SUBJECT, "latents * self.std + self.mean", "(latents + self.mean) * self.std")
def test_unscaling_gives_the_codes_back():
    for name in QUANTIZERS:
        tokens = cache(name)
        picked = tokens.tokens(torch.tensor([2, 0]))
        torch.testing.assert_close(tokens.unscale(tokens.latents(picked)), tokens.codes(picked), atol=1e-5, rtol=1e-4)


@catches(SUBJECT, "variant = flips.long()", "variant = (~flips).long()")
@catches(SUBJECT, "self.streams.shape[1] > 1", "self.streams.shape[0] > 1")
def test_flips_pick_the_flipped_variant_where_it_is_cached():
    tokens = cache(flips=2)
    (picked,) = tokens.tokens(torch.tensor([1, 1]), torch.tensor([False, True]))
    assert torch.equal(picked[0], tokens.streams[0, 0, 1].long())
    assert torch.equal(picked[1], tokens.streams[0, 1, 1].long())
    alone = cache("residual")
    found = alone.tokens(torch.tensor([1]), torch.tensor([True]))
    assert all(torch.equal(a[0], b.long()) for a, b in zip(found, alone.streams[:, 0, 1], strict=True))


@catches(SUBJECT, "kept[chunk] = given", "kept[: len(chunk)] = given")
@catches(SUBJECT, "zip(streams, tokenizer.encode(", "zip(streams.flip(0), tokenizer.encode(")
def test_a_data_set_is_encoded_in_order_whatever_the_batch_size():
    torch.manual_seed(0)
    tokenizer = VQGAN(tiny(with_quantizer("lfq")).tokenizer).eval()
    images = load_images("digits", image_size=16).validation
    small, large = (encode_images(tokenizer, images, batch_size=size) for size in (70, 250))
    assert torch.equal(small, large)
    wanted = tokenizer.encode(images.batch(range(250, 260)))
    assert torch.equal(small[:, 250:260].long(), torch.stack(wanted))
    assert not torch.equal(*wanted)
    assert small.dtype == torch.int32


@catches(SUBJECT, "quantizer.load_state_dict(", "dict(")
@catches(SUBJECT, "torch.stack(variants, dim=1)", "torch.stack(variants[::-1], dim=1)")
def test_the_file_gives_the_codes_of_the_trained_quantizer_without_the_tokenizer(tmp_path):
    config = tiny(with_quantizer("residual"), "data.horizontal_flip=true")
    torch.manual_seed(0)
    tokenizer, paths = VQGAN(config.tokenizer).eval(), RunPaths(tmp_path)
    tokenizer.save_pretrained(paths.tokenizer)
    encode_data_set(config, paths)
    stored, train = load_tokens(config, paths), config.data.load().train
    picked = torch.tensor([3, 11])
    wanted = tokenizer.encode(train.batch(picked).flip(-1))
    found = stored.tokens(picked, torch.tensor([True, True]))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert torch.equal(stored.codes(found), tokenizer.codes(wanted))
    assert torch.equal(stored.labels, train.labels)
