"""Tensors come back as they were, or the damage is told."""

import json
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from _support.mutants import catches
from vistok.workbench.run.files import DamagedFileError, NoSpaceError
from vistok.workbench.run.tensor_files import (
    is_whole,
    load_tensors,
    map_tensors,
    save_tensors,
    tensor_metadata,
)

SUBJECT = "vistok.workbench.run.tensor_files"

REAL = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 bool"
DTYPES = [getattr(torch, name) for name in REAL.split(" ")]


def tensors():
    return {
        "images": torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 3, 4, 5),
        "weight": torch.randn(7, 3, generator=torch.Generator().manual_seed(0)),
        "labels": torch.arange(2),
    }


def test_every_dtype_and_shape_comes_back_and_the_library_reads_the_file(tmp_path):
    path = tmp_path / "all.safetensors"
    held = {str(dtype): torch.arange(6).reshape(2, 3).to(dtype) for dtype in DTYPES}
    held |= {"scalar": torch.tensor(1.5), "empty": torch.empty(0, 3), "öß": torch.ones(1)}
    save_tensors(path, held, {"kind": "x"})
    for loaded in (load_tensors(path), load_file(path)):
        assert loaded.keys() == held.keys()
        for name, tensor in held.items():
            assert loaded[name].dtype == tensor.dtype
            assert loaded[name].shape == tensor.shape
            assert torch.equal(loaded[name], tensor)
    assert tensor_metadata(path)["kind"] == "x"


def test_tensors_in_any_layout_are_written(tmp_path):
    channels_last = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    save_tensors(
        tmp_path / "a.safetensors", {"x": channels_last, "t": torch.eye(3, 2).T, "p": torch.nn.Parameter(torch.ones(2))}
    )
    loaded = load_tensors(tmp_path / "a.safetensors")
    assert torch.equal(loaded["x"], channels_last)
    assert torch.equal(loaded["t"], torch.eye(2, 3))


@catches(SUBJECT, "not in start + file.read(_CHUNK)", "not in start")
def test_no_bit_flip_anywhere_loads_other_values(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, tensors())
    whole = path.read_bytes()
    for place in range(0, 8 * len(whole), 3):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=r"a\.safetensors: damaged"):
            load_tensors(path)


@pytest.mark.parametrize("part", [0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_told_by_its_name(tmp_path, part):
    path = tmp_path / "a.safetensors"
    save_tensors(path, tensors())
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(DamagedFileError, match=r"a\.safetensors: damaged") as caught:
        load_tensors(path)
    assert "\n" not in str(caught.value)


def test_files_of_others_have_no_checksum_and_load(tmp_path):
    save_file(tensors(), tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    loaded = load_tensors(tmp_path / "theirs.safetensors")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors().items())


@catches(SUBJECT, "for name in names or held}", "for name in held}")
def test_named_entries_are_asked_for_and_the_missing_one_is_told(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, tensors())
    assert list(load_tensors(path, "labels")) == ["labels"]
    with pytest.raises(DamagedFileError, match=r"a\.safetensors: has no codes; it has images, labels, weight"):
        load_tensors(path, "labels", "codes")
    with pytest.raises(FileNotFoundError, match=r"b\.safetensors: no such file"):
        load_tensors(tmp_path / "b.safetensors")


@pytest.mark.parametrize("value", [[1.0], torch.eye(2).to_sparse(), torch.zeros(2, dtype=torch.complex64)])
def test_what_files_cannot_hold_is_refused_by_its_name(tmp_path, value):
    with pytest.raises(TypeError, match=r"x: expected a dense tensor of a real dtype, got"):
        save_tensors(tmp_path / "a.safetensors", {"x": value})
    assert list(tmp_path.iterdir()) == []


def test_equal_tensors_make_equal_files_with_an_ordinary_mode(tmp_path):
    for name in ("a", "b"):
        save_tensors(tmp_path / name, tensors(), {"note": json.dumps([1])})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_disk_that_fills_up_keeps_the_old_tensors(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_tensors(path, tensors())

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vistok.workbench.run.files.os.fsync", full)
    with pytest.raises(NoSpaceError, match=r"needed [\d,]{5,} bytes, .* bytes are free; the file that was there"):
        save_tensors(path, {"x": torch.zeros(1000)})
    assert torch.equal(load_tensors(path)["weight"], tensors()["weight"])


@catches(SUBJECT, "except DamagedFileError as error:", "except FileNotFoundError as error:")
@catches(SUBJECT, "            read_json(path)", "            path.read_text()")
def test_a_file_is_whole_if_its_kind_shows_no_damage_and_what_is_not_is_logged(tmp_path, caplog):
    tensor_file, record, other = (tmp_path / name for name in ("a.safetensors", "a.json", "a.txt"))
    assert not is_whole(tensor_file)
    save_tensors(tensor_file, tensors())
    record.write_text("{}")
    other.write_text("{")
    assert [is_whole(path) for path in (tensor_file, record, other)] == [True] * 3
    assert caplog.text == ""
    tensor_file.write_bytes(tensor_file.read_bytes()[:-1])
    record.write_text("{")
    assert not is_whole(tensor_file)
    assert not is_whole(record)
    assert [message.split(": ")[0] for message in caplog.messages] == [str(tensor_file), str(record)]


@catches(SUBJECT, '"U16": "<u2"', '"U16": "<i2"')
@catches(SUBJECT, "begin = 8 + int.from_bytes(", "begin = int.from_bytes(")
@pytest.mark.parametrize("theirs", [True, False])
def test_mapped_integers_are_those_of_the_file_and_cannot_be_written_to(tmp_path, theirs):
    path = tmp_path / "a.safetensors"
    held = {
        name: torch.tensor([[1, 2], [3, 4]]).to(getattr(torch, name)) for name in ("int64", "int32", "int16", "uint8")
    }
    held["uint16"] = torch.tensor([65535, 0, 40000]).to(torch.uint16)
    save_file(held, path) if theirs else save_tensors(path, held, {"note": "x"})
    mapped = map_tensors(path)
    assert mapped.keys() == held.keys()
    for name, array in mapped.items():
        assert array.dtype == np.dtype(name)
        np.testing.assert_array_equal(array, held[name].numpy())
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@catches(SUBJECT, "if begin + max(ends) != len(data):", "if begin > len(data):")
def test_what_cannot_be_mapped_is_told_by_its_name(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(FileNotFoundError, match=r"a\.safetensors: no such file"):
        map_tensors(path)
    save_tensors(path, {"a": torch.arange(9)})
    whole = path.read_bytes()
    for content in (b"", b"{}", whole[:7], whole[:40], whole[:-1], whole + b"x", b"\xff" * 80):
        path.write_bytes(content)
        with pytest.raises(DamagedFileError, match=r"a\.safetensors: damaged or no safetensors file of integers"):
            map_tensors(path)
    save_tensors(path, {"a": torch.rand(9)})
    with pytest.raises(DamagedFileError, match="of integers"):
        map_tensors(path)
