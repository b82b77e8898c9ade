"""Cached tokens are in order, flip exactly, and take as few bytes as hold their bits."""

from types import SimpleNamespace

import pytest
import torch

from _support.mutants import catches
from _support.semtok_runs import tiny, tiny_tokenizer
from semtok.encode import TokenCache, encode_data_set, encode_images, load_tokens
from semtok.paths import RunPaths
from vistok.workbench.data import load_images
from vistok.workbench.run.tensor_files import save_tensors

SUBJECT = "semtok.encode"


@pytest.fixture(scope="module")
def images():
    return load_images("digits", image_size=16).validation


def stand_in(bits, encode):
    """Four tokens of some bits from any function of the images."""
    return SimpleNamespace(settings=SimpleNamespace(bits=bits, num_tokens=4), encode=encode)


@catches(SUBJECT, "tokens[chunk] =", "tokens[: len(chunk)] =")
@catches(SUBJECT, "batch.flip(-1) if flip else batch", "batch if flip else batch.flip(-1)")
@catches(SUBJECT, "variant = flips.long()", "variant = (~flips).long()")
def test_tokens_are_in_order_whatever_the_batch_size_and_flip(images):
    tokenizer = stand_in(18, lambda batch: ((batch[:, 0, 6:10, 5] + 1) * 100).long())
    small, large = (encode_images(tokenizer, images, batch_size=size) for size in (70, 250))
    assert torch.equal(small, large)
    flipped = encode_images(tokenizer, images, flip=True)
    assert torch.equal(flipped[:5].long(), tokenizer.encode(images.batch(range(5)).flip(-1)))
    assert not torch.equal(small[3], flipped[3])
    cache = TokenCache(torch.stack([small, flipped]), images.labels)
    picked = cache.pick(torch.tensor([3, 3]), torch.tensor([False, True]))
    assert torch.equal(picked, torch.stack([small[3], flipped[3]]).long())
    alone = TokenCache(small[None], images.labels)
    assert torch.equal(alone.pick(torch.tensor([3]), torch.tensor([True]))[0], small[3].long())
    assert len(cache) == 500


@catches(SUBJECT, "if sizes.bits <= 31", "if sizes.bits <= 32")
def test_tokens_are_kept_in_the_smaller_integers_that_hold_their_bits(images):
    for bits, dtype in ((31, torch.int32), (32, torch.int64)):
        largest = torch.full((100, 4), 2**bits - 1)
        tokens = encode_images(stand_in(bits, lambda batch, largest=largest: largest[: len(batch)]), images)
        assert tokens.dtype == dtype
        assert (tokens == 2**bits - 1).all()


@catches(SUBJECT, "self.tokens[variant, indices].long()", "self.tokens[variant, indices]")
def test_files_of_before_give_the_same_tokens(tmp_path):
    """They hold int64; what is written now holds int32, and both give a batch as int64."""
    config, paths = tiny(), RunPaths(tmp_path)
    tiny_tokenizer().save_pretrained(paths.tokenizer)
    encode_data_set(config, paths)
    cache = load_tokens(paths)
    assert cache.tokens.dtype == torch.int32
    save_tensors(paths.tokens, {"tokens": cache.tokens.long(), "labels": cache.labels})
    old, flips = load_tokens(paths), torch.zeros(3, dtype=torch.bool)
    picked = [each.pick(torch.tensor([7, 0, 9]), flips) for each in (old, cache)]
    assert torch.equal(*picked)
    assert {tokens.dtype for tokens in picked} == {torch.int64}
