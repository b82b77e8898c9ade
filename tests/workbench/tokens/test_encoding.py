"""Images are decoded once for all variants; processes share the shards; a killed run makes what is missing."""

from pathlib import Path

import pytest
import torch

from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from vistok.metrics import from_uint8
from vistok.workbench.data import ImageSet
from vistok.workbench.tokens.encoding import (
    Coder,
    ShardWriter,
    encode_images,
    tokenizer_checksum,
    write_shards,
)
from vistok.workbench.tokens.shards import open_tokens, write_index
from vistok.workbench.tokens.variants import FLIPS, UNFLIPPED

SUBJECT = "vistok.workbench.tokens.encoding"


class Counted:
    """A data set that notes which images it was asked for."""

    def __init__(self, count=23):
        pixels = torch.randint(256, (count, 1, 4, 4), generator=torch.Generator().manual_seed(0))
        self.images = ImageSet(pixels.byte(), torch.arange(count) % 3, ("a", "b", "c"), "noise")
        self.labels, self.asked = self.images.labels, []

    def __len__(self):
        return len(self.images)

    def pixels(self, indices, crops=None):
        self.asked += torch.as_tensor(indices).tolist()
        return self.images.pixels(indices)

    def batch(self, indices):
        return from_uint8(self.pixels(indices))


def grey(images):
    """A token for each pixel of the first row, and one an image."""
    levels = ((images + 1) * 127.5).round().long()[:, 0]
    return {"row": levels[:, 0], "sum": levels.sum((1, 2))}


def writer(folder, images=None, made_by="grey", encode=grey, variants=None):
    coder = Coder(encode, {"row": 256, "sum": 256 * 16}, made_by)
    return ShardWriter(folder, coder, images or Counted(), variants or FLIPS, shard_size=5, batch_size=2)


def written(folder, images=None, *, resume=False, **changes):
    made = writer(folder, images, **changes)
    if write_shards(made, resume=resume) is not None:
        write_index(folder, made.about)
    return made


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@catches(SUBJECT, "Draw(chunk, ", "Draw(chunk - chunk[0], ")
@catches(SUBJECT, "for view in variants.values()]", "for view in reversed(variants.values())]")
@catches(SUBJECT, "self.images.labels[indices]", "self.images.labels[: len(indices)]")
def test_every_image_is_decoded_once_for_all_its_variants(tmp_path):
    images = Counted()
    written(tmp_path, images)
    assert images.asked == list(range(23))
    shards = open_tokens(tmp_path)
    for variant, view in enumerate((images.batch(range(23)), images.batch(range(23)).flip(-1))):
        for name, wanted in grey(view).items():
            assert torch.equal(shards.pick(name, torch.arange(23), torch.full((23,), variant)), wanted)
    assert torch.equal(shards.labels, images.labels)


def on_a_rank(rank, folder):
    images = Counted()
    written(folder, images)
    return images.asked


@catches(SUBJECT, "[process_index() :: process_count()]", "[process_index() :: process_count() + 1]")
@catches(SUBJECT, "return map_shards(writer.folder, writer.about) if process_index() == 0 else None", "return None")
def test_two_processes_write_the_bytes_of_one_and_each_decodes_its_own_images(tmp_path):
    written(tmp_path / "one")
    first, second = run_on_two_ranks(on_a_rank, tmp_path / "two")
    assert (tmp_path / "two" / "index.json").exists()
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert sorted(first + second) == list(range(23))
    assert (len(first), len(second)) == (13, 10)


def encode_on_a_rank(rank):
    images = Counted()
    return encode_images(writer(Path()).coder, images, batch_size=3), images.asked


@catches(
    SUBJECT, "coder.tokens(images.batch(chunk), UNFLIPPED)", "coder.tokens(images.batch(chunk - chunk[0]), UNFLIPPED)"
)
def test_the_tokens_of_a_whole_set_are_in_order_on_every_process():
    alone = encode_images(writer(Path()).coder, Counted(), batch_size=7)
    assert torch.equal(alone["row"].long(), grey(Counted().batch(range(23)))["row"])
    assert {tokens.dtype for tokens in alone.values()} == {torch.int32}
    (first, here), (second, there) = run_on_two_ranks(encode_on_a_rank)
    for name, tokens in alone.items():
        assert torch.equal(first[name], tokens)
        assert torch.equal(second[name], tokens)
    assert sorted(here + there) == list(range(23))


@catches(
    SUBJECT, "if not (resume and writer.is_written(number))]", "if not (resume and writer.files[number].exists())]"
)
@catches(SUBJECT, "if not (resume and writer.is_written(number))]", "]")
def test_what_is_missing_or_damaged_is_made_again_and_nothing_else(tmp_path):
    written(tmp_path)
    whole = contents(tmp_path)
    (tmp_path / "index.json").unlink()
    (tmp_path / "00004.safetensors").unlink()
    (tmp_path / "00001.safetensors").write_bytes(whole["00001.safetensors"][:-1])
    images = Counted()
    written(tmp_path, images, resume=True)
    assert images.asked == [*range(5, 10), *range(20, 23)]
    assert contents(tmp_path) == whole


def test_a_run_that_stopped_in_a_shard_goes_on_with_that_shard(tmp_path):
    written(tmp_path / "whole")
    images = Counted()

    def stops(batch):
        if len(images.asked) > 12:
            raise KeyboardInterrupt
        return grey(batch)

    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "stopped", images, encode=stops)
    assert sorted(contents(tmp_path / "stopped")) == ["00000.safetensors", "00001.safetensors"]
    images = Counted()
    written(tmp_path / "stopped", images, resume=True)
    assert images.asked == list(range(10, 23))
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


@catches("vistok.workbench.run.tensor_files", ".get(MADE_OF) == what", " != {}")
@pytest.mark.parametrize("change", [{"made_by": "another"}, {"variants": UNFLIPPED}, {"images": Counted(22)}])
def test_shards_of_something_else_are_not_kept(tmp_path, change):
    written(tmp_path / "new", **change)
    written(tmp_path / "old")
    written(tmp_path / "old", resume=True, **change)
    assert contents(tmp_path / "old") == contents(tmp_path / "new")


@catches(SUBJECT, "if not (resume and writer.is_written(number))]", "if not writer.is_written(number)]")
def test_without_resume_everything_is_made_anew(tmp_path):
    written(tmp_path)
    images = Counted()
    written(tmp_path, images)
    assert len(images.asked) == 23


@catches(SUBJECT, 'set(writer.folder.glob("*")) - set(writer.files)', "()")
@pytest.mark.parametrize("resume", [True, False])
def test_what_is_no_shard_goes_before_the_first_is_written(tmp_path, resume):
    """The index above all: it says that the cache is whole."""
    written(tmp_path)

    def looks(batch):
        assert not any((tmp_path / name).exists() for name in ("index.json", "codes.safetensors", "00005.safetensors"))
        return grey(batch)

    for name in ("codes.safetensors", "00005.safetensors"):
        (tmp_path / name).write_bytes(b"of before")
    (tmp_path / "00000.safetensors").unlink()
    written(tmp_path, resume=resume, encode=looks)
    assert sorted(contents(tmp_path)) == [*(f"0000{number}.safetensors" for number in range(5)), "index.json"]


@catches(SUBJECT, "int(tokens[name].max()) < size:", "int(tokens[name].max()) <= size:")
def test_a_token_beyond_the_codes_is_told_and_not_cut_off(tmp_path):
    coder = Coder(lambda images: {"ids": images.long()}, {"ids": 2**16})
    with pytest.raises(ValueError, match="ids: expected tokens of 0 to 65535, got up to 65536"):
        coder.tokens(torch.full((1, 1), 2**16), UNFLIPPED)
    with pytest.raises(ValueError, match="ids: expected tokens"):
        coder.tokens(torch.full((1, 1), -1), UNFLIPPED)
    assert coder.tokens(torch.full((1, 1), 2**16 - 1), UNFLIPPED)["ids"].item() == 65535


@catches(SUBJECT, 'folder / "model.safetensors"', "Path(__file__)")
def test_tokenizers_are_told_apart_by_their_weights_wherever_they_lie(tmp_path):
    sums = []
    for name, weights in (("a", b"one"), ("b", b"two"), ("c", b"one")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        sums.append(tokenizer_checksum(tmp_path / name))
    assert sums[0] == sums[2] != sums[1]


@catches(SUBJECT, "self.batch_size = batch_size or at_a_time(images.image_size)", "self.batch_size = batch_size or 100")
@catches(SUBJECT, "split(batch_size or at_a_time(images.image_size))", "split(batch_size or 100)")
def test_of_large_images_fewer_are_encoded_at_a_time(tmp_path):
    seen = []

    def encode(images):
        seen.append(len(images))
        return {"first": images[:, 0, 0, 0].long() + 1}

    large = ImageSet(
        torch.zeros(30, 1, 256, 256, dtype=torch.uint8), torch.zeros(30, dtype=torch.int64), ("a",), "large"
    )
    coder = Coder(encode, {"first": 3})
    encode_images(coder, large)
    write_shards(ShardWriter(tmp_path, coder, large, UNFLIPPED), resume=False)
    assert seen == [25, 5, 25, 5]
