"""Tar archives: found by name, pattern or address, gone through once, images read where they lie."""

import functools
import http.server
import io
import json
import subprocess
import tarfile
import threading
from types import SimpleNamespace

import pytest

from _support.image_files import numbers, png
from _support.mutants import catches
from _support.tar_files import records, write_archive
from vistok.workbench.data import _tar_archives, load_images
from vistok.workbench.data._tar_archives import Member, is_pattern, matching_archives, tar_index

SUBJECT = "vistok.workbench.data._tar_archives"


@pytest.fixture
def shards(tmp_path):
    for shard in range(3):
        write_archive(tmp_path / "data" / f"train-{shard:03}.tar", records(4 * shard, 4 * shard + 4))
    write_archive(tmp_path / "data" / "val-000.tar", records(12, 15))
    return tmp_path / "data"


def load(source, tmp_path, **options):
    return load_images(source, cache_dir=tmp_path / "cache", image_size=8, **options)


def test_a_member_is_found_again_by_its_text():
    for name in ("7.jpg", "a:b/7::8.jpg", "12+3:x.png"):
        member = Member("/x/a.tar", name, 512, 90)
        assert Member.of(str(member)) == member


@catches(SUBJECT, "member.offset_data", "member.offset")
def test_images_are_read_from_the_archives_and_nothing_is_copied(shards, tmp_path):
    splits = load(shards, tmp_path)
    assert numbers(splits.train) == list(range(12))
    assert splits.train.labels.tolist() == [number % 3 for number in range(12)]
    assert numbers(splits.validation) == [12, 13, 14]
    kept = sum(file.stat().st_size for file in (tmp_path / "cache").rglob("*") if file.is_file())
    lazy = load(shards, tmp_path, memory_limit=0)
    assert numbers(lazy.train) == list(range(12))
    assert kept < 20_000
    assert {file.suffix for file in (tmp_path / "cache").rglob("*") if file.is_file()} == {".parquet"}


@catches(SUBJECT, "if not index.exists()", "")
@catches(SUBJECT, "{state.st_size}:{state.st_mtime_ns}", "")
def test_an_archive_is_gone_through_once_until_it_changes(shards, tmp_path, monkeypatch):
    opened = []
    write = _tar_archives._write_index
    monkeypatch.setattr(
        _tar_archives, "_write_index", lambda archive, index: (opened.append(archive.name), write(archive, index))
    )
    load(shards, tmp_path)
    assert sorted(opened) == ["train-000.tar", "train-001.tar", "train-002.tar", "val-000.tar"]
    write_archive(shards / "train-001.tar", records(20, 29))
    assert numbers(load(shards, tmp_path).train) == [0, 1, 2, 3, *range(20, 29), 8, 9, 10, 11]
    assert opened[4:] == ["train-001.tar"]


def test_many_archives_are_gone_through_by_several_processes(tmp_path):
    for shard in range(10):
        write_archive(tmp_path / "data" / f"{shard}.tar", records(2 * shard, 2 * shard + 2))
    splits = load(tmp_path / "data", tmp_path, validation_fraction=0.3)
    assert sorted(numbers(splits.train) + numbers(splits.validation)) == list(range(20))


@catches(SUBJECT, "return json_entries(text)", "return {}")
def test_a_json_beside_an_image_gives_columns_and_a_text_a_class_name(tmp_path):
    members = [
        member
        for number in range(12)
        for member in (
            (f"a/{number}.png", png((number, 0, 0))),
            (f"a/{number}.json", json.dumps({"label": number % 2, "width": 8, "more": [1]}).encode()),
            (f"a/{number}.txt", b"a caption" if number else b"another"),
        )
    ]
    source = write_archive(tmp_path / "one.tar", members)
    train = load(source, tmp_path, validation_fraction=0.3).train
    assert train.labels.tolist() == [number % 2 for number in numbers(train)]
    assert load(source, tmp_path, label_column="txt").train.class_names == ("a caption", "another")


def test_names_without_an_ending_and_folders_are_no_records(tmp_path):
    source = write_archive(tmp_path / "one.tar", [("README", b"words"), (".hidden.png", b""), *records(0, 6)])
    train, validation = load(source, tmp_path, validation_fraction=0.4)
    assert sorted(numbers(train) + numbers(validation)) == list(range(6))
    assert train.skipped == validation.skipped == ()


def test_an_archive_that_is_cut_off_is_an_error_of_one_line_or_an_unreadable_image(shards, tmp_path):
    whole = (shards / "train-001.tar").read_bytes()
    (shards / "train-001.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(ValueError, match=r"\Adata [^\n]*could not be read: [^\n]*\Z"):
        load(shards, tmp_path)
    (shards / "train-001.tar").write_bytes(whole)
    load(shards, tmp_path)
    (shards / "train-002.tar").write_bytes(whole.replace(b"IHDR", b"XXXX"))
    images = load(shards, tmp_path, memory_limit=0).train
    assert len(images) == 12
    numbers(images)
    assert [name.split(" ")[0] for name in images.skipped] == [
        f"train-002.tar/{number:03}.png" for number in range(4, 8)
    ]


@catches(SUBJECT, "!= bytes(tarfile.BLOCKSIZE)", "is None")
@catches(SUBJECT, 'raise ValueError(f"{archive}: {error}") from None', "raise")
def test_an_archive_is_whole_to_its_end_mark_whoever_wrote_it(tmp_path):
    path = write_archive(tmp_path / "python.tar", records(0, 3))
    for name, content in records(0, 3):
        (tmp_path / name).write_bytes(content)
    subprocess.run(["tar", "-cf", "program.tar", *(name for name, _ in records(0, 3))], cwd=tmp_path, check=True)
    with tarfile.open(path) as file:
        first, *_, last = file.getmembers()
    whole, end = path.read_bytes(), last.offset_data + tarfile.BLOCKSIZE
    for content in (whole, whole[: end + tarfile.BLOCKSIZE], (tmp_path / "program.tar").read_bytes()):
        assert tar_index(io.BytesIO(content), "a.tar").num_rows == 3
    for place in (0, 9, first.offset_data + 9, last.offset, last.offset + 9, last.offset_data, end):
        with pytest.raises(ValueError, match=r"\Aa\.tar: [^\n]+\Z"):
            tar_index(io.BytesIO(whole[:place]), "a.tar")
    damaged = whole[: last.offset] + whole[last.offset + 1 :] + b"0"
    with pytest.raises(ValueError, match=rf"expected an end mark at byte {last.offset}, got other bytes"):
        tar_index(io.BytesIO(damaged), "a.tar")


@catches(SUBJECT, "            raise error from None ", "            raise ")
def test_of_many_archives_the_one_that_is_cut_off_is_named(tmp_path):
    for shard in range(10):
        write_archive(tmp_path / "data" / f"{shard}.tar", records(2 * shard, 2 * shard + 2))
    (tmp_path / "data" / "7.tar").write_bytes((tmp_path / "data" / "7.tar").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"\A[^\n]*could not be read: [^\n]*/7\.tar: [^\n]*\Z"):
        load(tmp_path / "data", tmp_path)


@catches(SUBJECT, "{number:0{len(first)}}", "{number}")
@catches(SUBJECT, "int(last) + 1", "int(last)")
def test_a_pattern_counts_or_takes_any_part_of_a_name(shards, tmp_path):
    for pattern in ("train-{000..002}.tar", "train-*.tar"):
        assert [path.name for path in matching_archives(str(shards / pattern), None)] == [
            f"train-{shard:03}.tar" for shard in range(3)
        ]
    splits = load(f"{shards}/{{train,x}}.tar".replace("{train,x}", "*"), tmp_path)
    assert (numbers(splits.train), numbers(splits.validation)) == (list(range(12)), [12, 13, 14])
    assert not is_pattern(str(shards / "train-000.tar"))
    assert not is_pattern(str(shards))
    message = r"\Adata '[^\n]*' could not be read: there is no archive [^\n]*train-003\.tar\Z"
    with pytest.raises(ValueError, match=message):
        load(str(shards / "train-{000..003}.tar"), tmp_path)
    with pytest.raises(ValueError, match=r"there is no archive [^\n]*test-\*\.tar\Z"):
        load(str(shards / "test-*.tar"), tmp_path)


@pytest.fixture
def server(shards):
    """Where archives have an address: what was asked for, and how many bytes of each answer are lost."""
    here = SimpleNamespace(address="", asked=[], lost=0, says_length=True)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *line):
            here.asked.append(self.path)

        def send_header(self, name, value):
            if here.says_length or name != "Content-Length":
                super().send_header(name, value)

        def copyfile(self, source, outputfile):
            content = source.read()
            outputfile.write(content[: len(content) - here.lost])

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(shards)))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    here.address = f"http://127.0.0.1:{serving.server_port}"
    yield here
    serving.shutdown()
    serving.server_close()


def test_archives_with_an_address_are_fetched_once(server, tmp_path):
    source = f"{server.address}/train-{{000..002}}.tar"
    train, validation = load(source, tmp_path, validation_fraction=0.3)
    assert sorted(numbers(train) + numbers(validation)) == list(range(12))
    before = len(server.asked)
    load(source, tmp_path, validation_fraction=0.3, memory_limit=0)
    assert len(server.asked) == before
    message = r"\Adata '[^\n]*' could not be read: [^\n]*/train-003\.tar: HTTP Error 404: File not found\Z"
    with pytest.raises(ValueError, match=message):
        load(f"{server.address}/train-{{002..003}}.tar", tmp_path)


@catches(SUBJECT, "file.tell() != int(length)", "not length")
@catches(SUBJECT, "        partial.unlink(missing_ok=True)\n", "        pass\n")
def test_a_download_that_is_cut_off_is_told_and_begun_anew(server, tmp_path):
    source, server.lost = f"{server.address}/train-{{000..000}}.tar", 3000
    message = r"/train-000\.tar: cut off: expected 10240 bytes, got 7240\Z"
    with pytest.raises(ValueError, match=message):
        load(source, tmp_path)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    server.lost = 0
    assert len(load(source, tmp_path).train) == 3


@catches(SUBJECT, "if length is not None and", "if")
def test_an_archive_may_come_without_its_length(server, tmp_path):
    server.says_length = False
    assert len(load(f"{server.address}/train-{{000..000}}.tar", tmp_path).train) == 3
