"""Weights from a file, a folder or the hub, by one name."""

from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from _support.mutants import catches
from vistok.workbench.backbones.published import read_published, weights_file
from vistok.workbench.backbones.weights import WeightsError

SUBJECT = "vistok.workbench.backbones.published"


def pretend_hub(folder, monkeypatch):
    """A hub with what lies in a folder; the names asked for are returned."""
    asked = []

    def download(repo_id, filename, revision=None):
        asked.append((repo_id, filename, revision))
        if not (folder / filename).is_file():
            raise LocalEntryNotFoundError("no network\nand nothing in the cache")
        return str(folder / filename)

    monkeypatch.setattr("vistok.workbench.backbones.published.hf_hub_download", download)
    return asked


def put(folder, name, value):
    save_file({"weight": torch.tensor([value])}, folder / name)


@catches(SUBJECT, '["model.safetensors", f"{name}.bin"', '[f"{name}.bin", "model.safetensors"')
@catches(SUBJECT, "files = [named[2]] if named[2] else", "files =")
@catches(SUBJECT, "filename=files[-1], revision=revision", "filename=files[-1]")
def test_a_name_on_the_hub_is_tried_with_the_usual_files_and_one_behind_it_is_taken(tmp_path, monkeypatch):
    asked = pretend_hub(tmp_path, monkeypatch)
    for file, value in (("pytorch_model.bin", 1.0), ("theirs.bin", 2.0), ("model.safetensors", 3.0), ("of.pt", 4.0)):
        put(tmp_path, file, value)
        name = "them/theirs/of.pt" if file == "of.pt" else "them/theirs"
        assert read_published(name, revision="main")["weight"].item() == value
    assert asked == [
        ("them/theirs", "model.safetensors", "main"),
        ("them/theirs", "theirs.bin", "main"),
        ("them/theirs", "pytorch_model.bin", "main"),
        ("them/theirs", "model.safetensors", "main"),
        ("them/theirs", "theirs.bin", "main"),
        ("them/theirs", "model.safetensors", "main"),
        ("them/theirs", "of.pt", "main"),
    ]


@catches(SUBJECT, "missing=f\"no {' or '.join(files)}\"", 'missing="nothing"')
@pytest.mark.parametrize(
    ("name", "files"),
    [("them/theirs", "model.safetensors or theirs.bin or pytorch_model.bin"), ("them/theirs/of.pt", "of.pt")],
)
def test_without_a_network_one_line_names_the_files_to_fetch(tmp_path, monkeypatch, name, files):
    pretend_hub(tmp_path, monkeypatch)
    line = f"^them/theirs: no folder here, and the hub gave no {files} \\(no network and"
    with pytest.raises(FileNotFoundError, match=line):
        read_published(name)


@catches(SUBJECT, "isinstance(name, Path) or ", "")
@catches(SUBJECT, "or alone or", "or")
@catches(SUBJECT, "named is None or alone or Path(path.parts[0]).is_dir()", "named is None or alone")
def test_a_path_never_goes_to_the_hub(tmp_path, monkeypatch):
    asked = pretend_hub(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    for name in (Path("them/theirs"), "no/file.pt", "file.bin", "/no/file", "here/nothing", "./no/such"):
        with pytest.raises(WeightsError, match="no such file"):
            read_published(name)
    assert asked == []


@catches(SUBJECT, "if len(found) == 1 or usual:", "if found:")
@catches(SUBJECT, "[*usual, *found][0]", "[*found, *usual][0]")
def test_a_folder_has_one_file_of_weights_or_one_of_a_usual_name(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match=rf"{folder}: expected one file of weights, found none$"):
        weights_file(folder)
    put(folder, "epoch.pt", 1.0)
    assert weights_file(str(folder)) == folder / "epoch.pt"
    put(folder, "last.pt", 2.0)
    with pytest.raises(WeightsError, match=r"expected one file of weights, found epoch\.pt, last\.pt"):
        weights_file(folder)
    put(folder, "theirs.bin", 3.0)
    assert read_published(folder)["weight"].item() == 3


@catches(SUBJECT, "read_weights(weights_file(name, revision=revision), key)", "read_weights(weights_file(name))")
def test_a_key_tells_where_in_the_file_the_weights_are(tmp_path):
    torch.save({"model": {"a": torch.ones(1)}, "other": {"b": torch.zeros(1)}}, tmp_path / "both.pt")
    assert list(read_published(tmp_path / "both.pt")) == ["a"]
    assert list(read_published(str(tmp_path / "both.pt"), "other")) == ["b"]
