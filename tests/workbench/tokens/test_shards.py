"""Cached tokens are picked exactly, in bounded memory, and a cache that is not whole is told."""

import json
import mmap

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.run.files import DamagedFileError
from vistok.workbench.tokens.shards import (
    TokenShards,
    about,
    is_cached,
    open_tokens,
    read_index,
    shard_files,
    shard_metadata,
    token_dtype,
    write_index,
    write_shard,
)

SUBJECT = "vistok.workbench.tokens.shards"


def tokens_of(count, variants=2, shape=(3, 2), size=1000, seed=0):
    return torch.randint(size, (count, variants, *shape), generator=torch.Generator().manual_seed(seed))


def cache(folder, tokens, shard_size=4, size=1000):
    """Write tokens as a cache of one kind, the label of an image twice its place."""
    what = about(len(tokens), shard_size, [f"v{number}" for number in range(tokens.shape[1])], {"ids": size}, "me")
    labels = 2 * torch.arange(len(tokens))
    for number, path in enumerate(shard_files(folder, what)):
        part = slice(number * shard_size, (number + 1) * shard_size)
        write_shard(path, {"ids": tokens[part].to(token_dtype(size))}, labels[part], shard_metadata(what, number))
    write_index(folder, what)
    return what


def in_memory(tokens, shard_size=4):
    arrays = {"ids": [part.numpy() for part in tokens.split(shard_size)]}
    variants = tuple(map(str, range(tokens.shape[1])))
    return TokenShards(arrays, torch.zeros(len(tokens)).long(), variants, shard_size)


@catches(SUBJECT, "divmod(place, self.shard_size)", "divmod(place, len(arrays))")
@catches(SUBJECT, "arrays[shard][within, variant]", "arrays[shard][within, 0]")
@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 4), st.integers(0, 1000))
def test_what_is_picked_is_what_indexing_the_whole_would_give_however_it_is_divided(count, shard_size, variants, seed):
    tokens, draws = tokens_of(count, variants, seed=seed), torch.Generator().manual_seed(seed)
    shards = in_memory(tokens, shard_size=shard_size)
    indices, chosen = (torch.randint(most, (9,), generator=draws) for most in (count, variants))
    picked = shards.pick("ids", indices, chosen)
    assert torch.equal(picked, tokens[indices, chosen])
    assert torch.equal(shards.pick("ids", indices), tokens[indices, 0])
    assert picked.dtype == torch.int64


@catches(
    SUBJECT, "len(self.variants) - 1 - (numbers * len(self.variants)).long()", "(numbers * len(self.variants)).long()"
)
@catches(SUBJECT, "torch.rand(count, generator=draws).double()", "torch.ones(count) - 2**-24")
@given(st.integers(0, 1000), st.sampled_from([1, 2, 3, 20]))
def test_variants_are_drawn_alike_and_of_two_the_second_below_a_half(seed, variants):
    shards = in_memory(tokens_of(1, variants))
    drawn = shards.draw_variants(2000, torch.Generator().manual_seed(seed))
    numbers = torch.rand(2000, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(drawn == variants - 1, numbers.double() * variants < 1)
    share = drawn.bincount(minlength=variants) / 2000
    assert len(share) == variants
    assert (share - 1 / variants).abs().max() < 5 * (0.25 / 2000) ** 0.5


@catches(
    SUBJECT, "minlength=size) for array in self.arrays[name])", "minlength=size) for array in self.arrays[name][:1])"
)
def test_codes_are_counted_over_all_images_and_variants():
    tokens = tokens_of(11, size=7)
    assert torch.equal(in_memory(tokens, shard_size=4).counts("ids", 9), tokens.flatten().bincount(minlength=9))


@catches(SUBJECT, "if size <= 2**16 else", "if size <= 2**15 else")
@catches(SUBJECT, "if size <= 2**31 else", "if size <= 2**32 else")
def test_tokens_take_as_few_bytes_as_hold_the_largest(tmp_path):
    sizes = {2**16: "uint16", 2**16 + 1: "int32", 2**31: "int32", 2**31 + 1: "int64"}
    for size, dtype in sizes.items():
        folder, tokens = tmp_path / str(size), torch.tensor([[[size - 1, 0]]])
        cache(folder, tokens, size=size)
        shards = open_tokens(folder)
        assert shards.arrays["ids"][0].dtype == np.dtype(dtype)
        assert torch.equal(shards.pick("ids", torch.tensor([0])), tokens[0])
        assert read_index(folder)["tokens"] == {"ids": {"dtype": dtype, "shape": [2]}}


@catches(
    SUBJECT, "np.concatenate([held[LABELS] for held in maps])", "np.concatenate([held[LABELS] for held in maps[::-1]])"
)
def test_an_opened_cache_has_the_labels_and_maps_the_tokens(tmp_path):
    tokens = tokens_of(11)
    cache(tmp_path, tokens)
    shards = open_tokens(tmp_path)
    assert torch.equal(shards.labels, 2 * torch.arange(11))
    assert (len(shards), shards.variants) == (11, ("v0", "v1"))
    assert torch.equal(shards.pick("ids", torch.arange(11), torch.ones(11).long()), tokens[:, 1])
    for array in shards.arrays["ids"]:
        base = array
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base, mmap.mmap)
        assert not array.flags.writeable


@catches(SUBJECT, '"images": len(map_tensors(file)[LABELS]),', '"images": what["shard_size"],')
def test_the_index_lists_every_shard_and_what_the_tokens_are(tmp_path):
    assert not is_cached(tmp_path)
    what = cache(tmp_path, tokens_of(11))
    assert is_cached(tmp_path)
    index = json.loads((tmp_path / "index.json").read_text())
    assert [(entry["file"], entry["images"]) for entry in index["shards"]] == [
        ("00000.safetensors", 4),
        ("00001.safetensors", 4),
        ("00002.safetensors", 3),
    ]
    assert {key: index[key] for key in what} == what


@catches(SUBJECT, 'file.stat().st_size != entry["bytes"] or', "")
@catches(SUBJECT, "if missing:", "if not maps:")
def test_a_shard_that_is_gone_cut_off_or_of_something_else_is_told_by_its_name(tmp_path):
    cache(tmp_path, tokens_of(11))
    path = tmp_path / "00001.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole + b" ")
    with pytest.raises(DamagedFileError, match=r"00001\.safetensors: damaged, not as index\.json lists it"):
        read_index(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="00001"):
        open_tokens(tmp_path)
    what = {**read_json(tmp_path), "sizes": {"ids": 1000, "others": 2}}
    path.write_bytes(whole)
    (tmp_path / "index.json").write_text(json.dumps(what))
    with pytest.raises(DamagedFileError, match=r"00000\.safetensors: has no others"):
        open_tokens(tmp_path)


def read_json(folder):
    return json.loads((folder / "index.json").read_text())


@catches(SUBJECT, '(verify and sha256(file) != entry["sha256"])', "False")
def test_a_byte_that_changed_is_told_where_it_is_asked(tmp_path):
    cache(tmp_path, tokens_of(11))
    path = tmp_path / "00002.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    read_index(tmp_path)
    with pytest.raises(DamagedFileError, match=r"00002\.safetensors: damaged"):
        read_index(tmp_path, verify=True)


def test_no_image_beyond_the_last_is_picked():
    shards = TokenShards({"ids": [np.zeros((2, 1, 3), int), np.zeros((1, 1, 3), int)]}, torch.zeros(3), ("one",), 2)
    for place in (3, 4):
        with pytest.raises(IndexError):
            shards.pick("ids", torch.tensor([place]))
