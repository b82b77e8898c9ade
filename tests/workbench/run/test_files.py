"""Whole files or none, a full disk and damage told in one line."""

import errno
import hashlib
import os
import resource
import shutil
import subprocess
import sys

import pytest

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.run.files import (
    DamagedFileError,
    NoSpaceError,
    new_folder,
    read_json,
    sha256,
    write_atomically,
    written_aside,
)

SUBJECT = "vistok.workbench.run.files"


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    write_atomically(path, "old")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("vistok.workbench.run.files.os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["figures.json"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_written_file_has_the_mode_that_the_umask_allows(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a" / "figures.json", "{}")
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "figures.json").stat().st_mode & 0o777 == mode


def test_a_full_disk_names_the_device_and_the_size_and_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    write_atomically(path, "old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("vistok.workbench.run.files.os.fsync", full)
    with pytest.raises(NoSpaceError) as caught:
        write_atomically(path, "x" * 12_345)
    message = str(caught.value)
    assert message.startswith(f"{path}: no space left on /")
    assert "needed 12,345 bytes" in message
    assert message.endswith("the file that was there is untouched")
    assert "\n" not in message
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["figures.json"]


def test_a_file_over_the_limit_of_the_process_is_refused_in_one_line(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(b"old")
    code = f"""
import pathlib
from vistok.workbench.run.files import NoSpaceError, write_atomically
try:
    write_atomically(pathlib.Path({str(path)!r}), bytes(100_000))
except NoSpaceError as error:
    print(error)
"""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # noqa: E731
    done = subprocess.run([sys.executable, "-c", code], preexec_fn=limit, capture_output=True, text=True, check=True)
    expected = f"{path}: larger than a file may be here, needed 100,000 bytes; the file that was there is untouched"
    assert done.stdout.strip() == expected
    assert path.read_bytes() == b"old"


@catches(SUBJECT, "            partial.unlink(missing_ok=True)", "            pass")
def test_other_errors_of_a_block_pass_and_leave_nothing(tmp_path):
    def write() -> None:
        with written_aside(tmp_path / "x") as file:
            file.write(b"half")
            raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        write()
    assert list(tmp_path.iterdir()) == []


@catches(SUBJECT, "[key for key in keys if key not in values]", "[key for key in values if key not in keys]")
@catches(SUBJECT, "(ValueError, RecursionError)", "ValueError")
def test_json_is_an_object_with_the_keys_asked_for_or_the_file_is_named(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text('{"psnr": 20.0, "ssim": 0.5, "more": 1}')
    assert read_json(path, "psnr", "ssim") == {"psnr": 20.0, "ssim": 0.5, "more": 1}
    with pytest.raises(DamagedFileError, match=rf"^{path}: has no lpips, fid$"):
        read_json(path, "lpips", "psnr", "fid")
    for text, message in (
        ("[1]", "expected a JSON object, got list"),
        ('{"psnr": 2', "damaged or no JSON"),
        ("\\udc00", "damaged or no JSON"),
        ("[" * 100_000, "damaged or no JSON"),
    ):
        path.write_text(text)
        with pytest.raises(DamagedFileError, match=rf"^{path}: {message}"):
            read_json(path)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "nowhere.json")


def test_the_message_of_damage_is_one_short_printable_line():
    message = str(DamagedFileError("a\nb\0" + "x" * 1000))
    assert message.startswith("a\\nb\\x00x")
    assert len(message) == 480
    assert message.endswith(" ...")


def test_the_checksum_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 5000)
    assert sha256(tmp_path / "a") == hashlib.sha256(bytes(range(256)) * 5000).hexdigest()


@catches(SUBJECT, "            shutil.rmtree(target, ignore_errors=True)\n", "            pass\n")
def test_a_new_folder_may_take_the_place_of_another_once_it_is_whole(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(FileNotFoundError), new_folder(target, replaces=True) as aside:
        shutil.copy(tmp_path / "missing", aside)
    assert [path.name for path in target.iterdir()] == ["old"]
    with new_folder(target, replaces=True) as aside:
        (aside / "new").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new"]


@catches(SUBJECT, "aside.chmod(0o755)", "pass")
@catches(SUBJECT, "any(target.iterdir())", "False")
@catches(SUBJECT, "not target.is_dir() or", "")
@catches(SUBJECT, "shutil.rmtree(aside, ignore_errors=True)", "pass")
@catches(SUBJECT, "os.replace(aside, target)", "shutil.copytree(aside, target, dirs_exist_ok=True)")
def test_a_new_folder_is_whole_or_not_there_and_takes_the_place_of_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "copytree", None)
    target = tmp_path / "deep" / "out"
    with pytest.raises(FileNotFoundError), new_folder(target) as aside:
        shutil.copy(tmp_path / "missing", aside)
    assert list(target.parent.iterdir()) == []
    for _ in range(2):  # new, then empty
        with new_folder(target) as aside:
            (aside / "a").write_text("whole")
        assert target.stat().st_mode & 0o777 == 0o755
        assert [path.name for path in target.parent.iterdir()] == ["out"]
        (target / "a").unlink()
    (target / "mine").write_text("keep")
    for used in (target, target / "mine"):
        message = f"{used.name}: expected a new or empty folder, got one that holds something"
        with pytest.raises(ConfigError, match=message), new_folder(used):
            pass
    assert (target / "mine").read_text() == "keep"
