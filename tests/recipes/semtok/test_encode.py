"""Cached tokens are those of the tokenizer, flipped where the configuration flips."""

import torch

from _support.few_images import few_images
from _support.mutants import catches
from _support.semtok_runs import tiny, tiny_tokenizer
from semtok.encode import TOKENS, encode_data_set, load_tokens, token_coder
from semtok.paths import RunPaths

SUBJECT = "semtok.encode"


@catches(SUBJECT, "config.data.token_variants)", '{"unflipped": lambda images: images})')
@catches(SUBJECT, "write_index(paths.tokens, writer.about)", "pass")
def test_the_cache_gives_the_tokens_of_the_trained_tokenizer_and_of_flipped_images(tmp_path, monkeypatch):
    few_images(monkeypatch)
    config, paths = tiny("data.horizontal_flip=true"), RunPaths(tmp_path)
    tokenizer = tiny_tokenizer().eval()
    tokenizer.save_pretrained(paths.tokenizer)
    encode_data_set(config, paths)
    shards, train = load_tokens(paths), config.data.load().train
    picked = torch.tensor([3, 121])
    images = train.batch(picked)
    for variant, view in enumerate((images, images.flip(-1))):
        assert torch.equal(shards.pick(TOKENS, picked, torch.tensor([variant] * 2)), tokenizer.encode(view))
    assert torch.equal(shards.labels, train.labels)


@catches(SUBJECT, "config.data.load_to_encode()", "config.data.load().train")
def test_ten_crop_gives_the_tokens_of_ten_parts_of_larger_images(tmp_path, monkeypatch):
    few_images(monkeypatch)
    config, paths = tiny("data.horizontal_flip=true", "data.ten_crop=1.2"), RunPaths(tmp_path)
    size = config.data.image_size
    tokenizer = tiny_tokenizer().eval()
    tokenizer.save_pretrained(paths.tokenizer)
    encode_data_set(config, paths)
    shards, larger = load_tokens(paths), config.data.load_to_encode()
    assert (len(shards.variants), larger.image_size) == (10, int(1.2 * size))
    corners = tokenizer.encode(larger.batch(torch.arange(150))[..., -size:, -size:])
    assert torch.equal(shards.pick(TOKENS, torch.arange(150), torch.full((150,), 4)), corners)
    drawn = shards.draw_variants(4000, torch.Generator().manual_seed(0)).bincount(minlength=10)
    assert drawn.min() > 300


@catches(SUBJECT, "tokenizer.settings.codebook_size", "tokenizer.settings.bits")
def test_a_token_has_as_many_values_as_its_bits_say():
    coder = token_coder(tiny_tokenizer())
    assert coder.sizes == {TOKENS: 2**6}
