"""Shards are fetched once a machine, by whichever process needs them, and the least recently used are given up."""

import os
import threading
import time
from pathlib import Path

import pytest

from _support.image_files import png, write_table
from _support.mutants import catches
from _support.tar_files import records, write_archive
from vistok.workbench.data import _shard_store
from vistok.workbench.data._shard_store import Fetcher, ShardStore
from vistok.workbench.data._tar_archives import Member

SUBJECT = "vistok.workbench.data._shard_store"


@pytest.fixture
def shards(tmp_path):
    return [str(write_archive(tmp_path / f"{n}.tar", records(n, n + 1))) for n in range(4)]


def kept(store):
    return sorted(path.name[17:] for path in store.folder.glob("*.tar"))


def member(shard):
    return Member(shard, f"{int(Path(shard).stem):03}.png", 512, len(png((int(Path(shard).stem), 0, 0))))


@catches(SUBJECT, "os.utime(path)\n                return of", "return of")
@catches(SUBJECT, "total <= self.limit", "total < self.limit")
def test_the_least_recently_read_shard_makes_room_for_another(shards, tmp_path):
    size = os.path.getsize(shards[0])
    store = ShardStore(tmp_path / "kept", 3 * size)
    for number, shard in enumerate(shards[:3]):
        path = store.fetch(shard)
        os.utime(path, ns=(number, number))
    assert kept(store) == ["0.tar", "1.tar", "2.tar"]
    assert store.read(member(shards[0])) == png((0, 0, 0))
    assert store.read(member(shards[3])) == png((3, 0, 0))
    assert kept(store) == ["0.tar", "2.tar", "3.tar"]
    assert store.read(member(shards[1])) == png((1, 0, 0))


@catches(
    SUBJECT,
    "            if not path.exists():\n                partial",
    "            if True:\n                partial",
)
def test_a_shard_is_fetched_once_though_many_ask_for_it(shards, tmp_path, monkeypatch):
    asked, started = [], threading.Barrier(4)
    plain = _shard_store._download
    store = ShardStore(tmp_path / "kept", 1 << 30)

    def slow(address, path):
        time.sleep(0.05)
        asked.append(address)
        plain(address, path)

    monkeypatch.setattr(_shard_store, "_download", slow)

    def fetch():
        started.wait()
        store.fetch(shards[0])

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == shards[:1]


def test_what_was_given_up_between_finding_and_reading_is_fetched_again(shards, tmp_path, monkeypatch):
    store = ShardStore(tmp_path / "kept", 1 << 30)
    store.fetch(shards[1])
    gone = iter([True, False])
    plain = os.utime
    monkeypatch.setattr(os, "utime", lambda path: os.unlink(path) if next(gone) else plain(path))
    assert store.read(member(shards[1])) == png((1, 0, 0))
    monkeypatch.setattr(os, "utime", os.unlink)
    with pytest.raises(OSError, match=r"1\.tar: given up while it was read; data\.streaming_gb is too small"):
        store.read(member(shards[1]))


@catches(SUBJECT, "if not left:", "if True:")
def test_a_connection_that_breaks_is_tried_again_and_at_last_an_error(shards, tmp_path, monkeypatch):
    import fsspec

    tries, waited = [], []
    files, _ = fsspec.core.url_to_fs(shards[0])
    plain = files.get_file

    def broken(times):
        def get(name, path):
            tries.append(name)
            if len(tries) <= times:
                raise ConnectionError("reset by peer")
            plain(name, path)

        return get

    monkeypatch.setattr(_shard_store.time, "sleep", waited.append)
    monkeypatch.setattr(type(files), "get_file", lambda self, name, path: broken(2)(name, path))
    assert ShardStore(tmp_path / "kept", 1 << 30).fetch(shards[0]).exists()
    assert waited == [2.0, 4.0]
    tries.clear()
    monkeypatch.setattr(type(files), "get_file", lambda self, name, path: broken(9)(name, path))
    with pytest.raises(OSError, match=r"0\.tar could not be fetched: reset by peer"):
        ShardStore(tmp_path / "other", 1 << 30).fetch(shards[0])


def test_what_is_wanted_is_fetched_in_the_background_and_what_is_not_there_harms_nobody(shards, tmp_path):
    store = ShardStore(tmp_path / "kept", 1 << 30)
    fetcher = Fetcher(store)
    for shard in ("file:///no/where.tar", *shards, shards[0]):
        fetcher.want(shard)
    for _ in range(1000):
        if len(kept(store)) == 4:
            break
        time.sleep(0.01)
    fetcher.close()
    for thread in fetcher.threads:
        thread.join(10)
    assert kept(store) == ["0.tar", "1.tar", "2.tar", "3.tar"]
    assert not any(thread.is_alive() for thread in fetcher.threads)


def test_any_image_of_a_parquet_file_is_read_alone(tmp_path):
    contents = [png((n, 0, 0)) for n in range(5)]
    source = str(write_table(tmp_path / "a.parquet", contents, {"label": [0] * 5}))
    store = ShardStore(tmp_path / "kept", 1 << 30)
    for row in (4, 0, 2):
        assert store.read(Member(source, f"{row}/image", row, 0)) == contents[row]


@catches(SUBJECT, "                    partial.unlink(missing_ok=True)", "                    pass")
def test_a_shard_that_cannot_be_kept_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"no table")
    store = ShardStore(tmp_path / "kept", 1 << 30)
    with pytest.raises(OSError, match=r"a\.parquet: "):
        store.fetch(str(path))
    assert {each.suffix for each in store.folder.iterdir()} <= {".lock"}
