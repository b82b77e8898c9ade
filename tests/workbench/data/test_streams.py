"""Streams: shards from anywhere, fetched when a batch needs them, give what the files give."""

import os
import types

import datasets
import fsspec
import pytest
import torch

from _support.image_files import numbers, png, write_table
from _support.mutants import catches
from _support.tar_files import records, write_archive
from vistok.workbench.data import LazyImageSet, _streams, describe_source, load_images
from vistok.workbench.data._streams import open_shards, shard_addresses
from vistok.workbench.data.drawing import drawn_images
from vistok.workbench.recipe_config import DataConfig

SUBJECT = "vistok.workbench.data._streams"


@pytest.fixture
def tars(tmp_path):
    for shard in range(5):
        write_archive(tmp_path / "data" / f"train-{shard:03}.tar", records(4 * shard, 4 * shard + 4))
    write_archive(tmp_path / "data" / "val-000.tar", records(20, 23))
    return tmp_path / "data"


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "tables").mkdir()
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])})
    for shard in range(3):
        contents = [png((n, 0, 0)) for n in range(5 * shard, 5 * shard + 5)]
        labels = {"label": [n % 3 for n in range(5 * shard, 5 * shard + 5)]}
        write_table(tmp_path / "tables" / f"train-{shard}.parquet", contents, labels, features)
    write_table(tmp_path / "tables" / "validation-0.parquet", [png((99, 0, 0))], {"label": [1]}, features)
    return tmp_path / "tables"


@pytest.fixture
def remote(tars):
    """The archives at addresses of a file system in memory."""
    files = fsspec.filesystem("memory")
    for path in tars.iterdir():
        files.pipe(f"/shards/{path.name}", path.read_bytes())
    yield "memory://shards"
    files.rm("/shards", recursive=True)


def stream(source, tmp_path, limit=1 << 30, **options):
    options = {"image_size": 8, "workers": 0, "cache_dir": tmp_path / "cache", **options}
    return load_images(source, streaming_limit=limit, **options)


def fetched(tmp_path):
    return {path.name[17:] for path in (tmp_path / "cache" / "shards").glob("*") if path.suffix != ".lock"}


@catches(SUBJECT, "return tar_index(file, address)", "return tar_index(file, index.name)")
@catches(SUBJECT, "str(files.unstrip_protocol(each))", "str(each)")
def test_archives_at_addresses_give_what_they_give_as_files(remote, tars, tmp_path):
    for pattern in ("train-{000..004}.tar", "*.tar"):
        plain = load_images(f"{tars}/{pattern}", image_size=8, cache_dir=tmp_path / "cache", validation_fraction=0.3)
        streamed = stream(f"{remote}/{pattern}", tmp_path, validation_fraction=0.3)
        for ours, theirs in zip(streamed, plain, strict=True):
            assert numbers(ours) == numbers(theirs)
            assert torch.equal(ours.labels, theirs.labels)
        assert isinstance(streamed.train, LazyImageSet)


def test_parquet_files_of_a_folder_give_what_they_give_as_files(tables, tmp_path):
    streamed, plain = stream(tables, tmp_path), load_images(tables, image_size=8, cache_dir=tmp_path / "cache")
    for ours, theirs in zip(streamed, plain, strict=True):
        assert numbers(ours) == numbers(theirs)
        assert (ours.class_names, ours.labels.tolist()) == (theirs.class_names, theirs.labels.tolist())
    assert streamed.train.class_names == ("a", "b", "c")
    split = stream(tables / "train-0.parquet", tmp_path, validation_fraction=0.5)
    assert sorted(numbers(split.train) + numbers(split.validation)) == list(range(5))


@catches(SUBJECT, "if not index.exists()]", "]")
@catches(SUBJECT, "store.forget(address)", "pass")
def test_each_shard_is_gone_through_once_until_it_changes(tars, tables, tmp_path, monkeypatch):
    opened = []
    plain = _streams._write_index
    monkeypatch.setattr(
        _streams, "_write_index", lambda store, address, index: (opened.append(address), plain(store, address, index))
    )
    addresses = [str(path) for path in [*sorted(tars.glob("train*")), tables / "train-0.parquet"]]
    for _ in range(2):
        rows, shards = open_shards(datasets, addresses, str(tmp_path / "cache"), 1 << 30)
    assert (len(rows), shards.sizes, sorted(opened)) == (25, (4, 4, 4, 4, 4, 5), addresses)
    assert fetched(tmp_path) == {f"train-{n:03}.tar" for n in range(5)}
    write_archive(tars / "train-001.tar", records(30, 37))
    _, shards = open_shards(datasets, addresses, str(tmp_path / "cache"), 1 << 30)
    assert (shards.sizes, opened[6:]) == ((4, 7, 4, 4, 4, 5), [addresses[1]])


@catches(SUBJECT, "places.bincount(minlength=len(self.sizes))", "places.bincount()")
def test_rows_that_are_held_out_are_not_among_those_of_a_shard(tars, tmp_path):
    _, shards = open_shards(datasets, [str(tars / f"train-{n:03}.tar") for n in range(3)], str(tmp_path), 1 << 30)
    kept = shards.of([0, 3, 5, 6, 7])
    assert kept.sizes == (2, 3, 0)
    assert [address[-7:] for address in kept.holding(torch.tensor([4, 1, 3]))] == ["000.tar", "001.tar"]


def test_a_hub_id_is_the_shards_that_the_library_finds_for_it(tables, tmp_path, monkeypatch):
    files = {
        "train": [f"file://{tables}/train-{n}.parquet" for n in range(3)],
        "test": [f"file://{tables}/validation-0.parquet"],
    }
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, name, timeout: None)
    builder = types.SimpleNamespace(config=types.SimpleNamespace(data_files=files))
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda name: {"org/name": builder}[name])
    splits = stream("org/name", tmp_path)
    assert (numbers(splits.train), numbers(splits.validation)) == (list(range(15)), [99])
    files["train"].append("hf://datasets/org/name/readme.csv")
    with pytest.raises(
        ValueError, match=r"\Adata 'org/name'[^\n]*: a stream needs Parquet or \.tar files, found readme\.csv\Z"
    ):
        stream("org/name", tmp_path / "again")


@catches(SUBJECT, "[: 2 * LANES + 1]", "[:1]")
def test_too_little_room_is_told_before_anything_is_fetched(tars, tmp_path):
    size = (tars / "train-000.tar").stat().st_size
    with pytest.raises(ValueError, match=r"data\.streaming_gb: expected room for the 33 largest shards, 0\.00 GB, got"):
        stream(tars, tmp_path, limit=4 * size)
    assert stream(tars, tmp_path, limit=5 * size).train


def test_what_is_not_there_is_one_line(tars, tmp_path):
    for source in (f"{tars}/train-{{003..005}}.tar", f"file://{tars}/test-*.tar", "memory://no/where.tar"):
        with pytest.raises(ValueError, match=r"\Adata '[^\n]*' could not be read: [^\n]*\Z"):
            stream(source, tmp_path)
    cut = tars / "train-001.tar"
    cut.write_bytes(cut.read_bytes()[:1000])
    with pytest.raises(
        ValueError, match=r"\Adata '[^\n]*' could not be read: [^\n]*/train-001\.tar: unexpected end of data\Z"
    ):
        stream(tars, tmp_path)
    (tars / "empty").mkdir()
    with pytest.raises(ValueError, match=r"a stream needs Parquet or \.tar files, found none"):
        stream(tars / "empty", tmp_path)
    assert [os.path.basename(file) for file in shard_addresses("", tars)][-1] == "val-000.tar"


def test_a_damaged_table_is_named_in_one_line(tables, tmp_path):
    damaged = tables / "train-1.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"\Adata '[^\n]*' could not be read: [^\n]*/train-1\.parquet: [^\n]*\Z"):
        stream(tables, tmp_path)


def test_few_images_are_drawn_from_few_shards_and_described_by_the_first(tars, tmp_path):
    train = stream(tars, tmp_path).train
    drawn = drawn_images(train, 7, seed=3)
    assert len(set(drawn.tolist())) == 7
    assert len(drawn_images(train, 100, seed=3)) == 20
    described = describe_source(tars, cache_dir=tmp_path / "cache", streaming_limit=1 << 30)
    assert described == describe_source(tars, cache_dir=tmp_path / "cache")
    config = DataConfig(source=str(tars), streaming=True, streaming_gb=0.5, image_size=8)
    assert config.streaming_limit == 500_000_000
    assert "streaming_gb" not in config.model_dump()
