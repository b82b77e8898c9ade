"""Cached tokens are those of the tokenizer, flipped where the configuration flips."""

import torch

from _support.few_images import few_images
from _support.mutants import catches
from _support.semtok_runs import tiny, tiny_tokenizer
from semtok.encode import TOKENS, encode_data_set, load_tokens, token_coder
from semtok.paths import RunPaths

SUBJECT = "semtok.encode"


@catches(SUBJECT, "FLIPS if config.data.horizontal_flip else UNFLIPPED", "UNFLIPPED")
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


@catches(SUBJECT, "2**tokenizer.settings.bits", "tokenizer.settings.bits")
def test_a_token_has_as_many_values_as_its_bits_say():
    coder = token_coder(tiny_tokenizer())
    assert coder.sizes == {TOKENS: 2**6}
