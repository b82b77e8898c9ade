"""Networks as folders: they come back as they were, or one line says what does not fit."""

import json
import os
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from _support.mutants import catches
from vistok.workbench.backbones.pretrained import Pretrained, load_module
from vistok.workbench.config import Config
from vistok.workbench.run.files import DamagedFileError, NoSpaceError

SUBJECT = "vistok.workbench.backbones.pretrained"


class Sizes(Config):
    width: int = 4
    bias: bool = True


class Network(
    nn.Module,
    Pretrained,
    library_name="vistok",
    coders={Sizes: (lambda c: c.model_dump(mode="json"), lambda values: Sizes(**values))},
):
    def __init__(self, sizes: Sizes, kind: str = "plain") -> None:
        super().__init__()
        self.sizes, self.kind = sizes, kind
        self.inner = nn.Linear(3, sizes.width, bias=sizes.bias)
        self.register_buffer("steps", torch.zeros(2, dtype=torch.int64))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    network = Network(Sizes(width=5), kind="other")
    network.save_pretrained(tmp_path / "net")
    return network, tmp_path / "net"


def test_a_network_comes_back_as_it_was_in_evaluation_mode(saved):
    network, folder = saved
    loaded = Network.from_pretrained(folder)
    assert (loaded.sizes, loaded.kind, loaded.training) == (Sizes(width=5), "other", False)
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in loaded.state_dict().items())
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    umask = os.umask(0)
    os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o666 & ~umask}


def rewrite(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def put(name, tensor):
    return lambda tensors: tensors.update({name: tensor})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("inner.bias"), r"inner\.bias: missing$"),
        (
            lambda t: t.update({"iner.bias": t.pop("inner.bias")}),
            r"iner\.bias: unknown; inner\.bias: missing \(renamed to iner\.bias\?\)$",
        ),
        (put("inner.weight", torch.zeros(5, 4)), r"inner\.weight: expected shape \(5, 3\), got \(5, 4\)"),
        (put("inner.bias", torch.zeros(5).long()), r"inner\.bias: expected torch\.float32, got torch\.int64"),
        (put("inner.bias", torch.full((5,), torch.nan)), r"inner\.bias: holds values that are not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_listed_by_name_and_never_left_random(saved, change, message):
    _, folder = saved
    rewrite(folder, change)
    with pytest.raises(DamagedFileError, match=r"model\.safetensors: does not fit the network: " + message):
        Network.from_pretrained(folder)


@catches(SUBJECT, '    problems += [f"{name}: unknown" for name in state if name not in target]\n', "")
def test_a_network_that_does_not_fit_stays_as_it_was(saved):
    _, folder = saved
    other = Network(Sizes(width=5, bias=False))
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(DamagedFileError, match=r"inner\.bias: unknown"):
        load_module(other, folder / "model.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged or no JSON"),
        ("[1]", "expected a JSON object, got list"),
        ('{"sizes": {"width": "x"}}', r"sizes\.width: Input should be a valid integer"),
        ('{"sizes": {"widht": 5}}', r"sizes\.widht: Extra inputs"),
        ('{"sizes": 3}', "sizes: expected what was saved, got 3"),
        ('{"kinds": "x", "sizes": {}}', "unknown key 'kinds'; expected sizes, kind"),
        ("{}", "missing 1 required positional argument: 'sizes'"),
    ],
)
def test_a_damaged_configuration_names_file_and_key(saved, text, message):
    _, folder = saved
    rewrite(folder, lambda _: None)  # as somebody else's file, without the configuration's copy
    (folder / "config.json").write_text(text)
    with pytest.raises((DamagedFileError, TypeError), match=rf"^{folder}/config\.json: .*{message}") as caught:
        Network.from_pretrained(folder)
    assert "\n" not in str(caught.value)


def test_a_configuration_that_is_not_the_saved_one_is_refused_and_the_key_named(saved):
    _, folder = saved
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "kind": "plane"}))
    with pytest.raises(DamagedFileError, match=r"config\.json: .*kind is 'plane', was 'other'"):
        Network.from_pretrained(folder)
    (folder / "config.json").unlink()  # a crash between the two files
    assert Network.from_pretrained(folder).kind == "other"


@pytest.mark.parametrize(
    "name", ["runs/no/tokenizer", "/typo", "./typo", "typo", Path("org/name"), "here/typo", "a b/c"]
)
def test_a_folder_that_is_not_there_is_one_line_at_once_and_never_goes_to_the_hub(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(
        "vistok.workbench.backbones.pretrained.hf_hub_download", lambda **_: pytest.fail("asked the hub")
    )
    begin = time.monotonic()
    with pytest.raises(FileNotFoundError, match=rf"^{name}: no such folder$"):
        Network.from_pretrained(name)
    assert time.monotonic() - begin < 1


def test_a_model_of_the_hub_is_downloaded_and_its_absence_is_one_line(saved, monkeypatch):
    _, folder = saved
    monkeypatch.setattr(
        "vistok.workbench.backbones.pretrained.hf_hub_download", lambda repo_id, filename, **_: folder / filename
    )
    assert Network.from_pretrained("some/model").kind == "other"

    def offline(**_):
        raise ConnectionError("first line\nsecond line")

    monkeypatch.setattr("vistok.workbench.backbones.pretrained.hf_hub_download", offline)
    with pytest.raises(
        FileNotFoundError, match=r"some/model: no folder here, and the hub gave no config\.json \(first"
    ):
        Network.from_pretrained("some/model")


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors: no such file"):
        Network.from_pretrained(tmp_path)


def test_a_full_disk_leaves_the_network_that_was_there(saved, monkeypatch):
    _, folder = saved
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vistok.workbench.run.files.os.fsync", full)
    with pytest.raises(NoSpaceError, match=r"model\.safetensors: no space left"):
        Network(Sizes(width=9)).save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
