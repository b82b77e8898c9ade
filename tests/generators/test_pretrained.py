"""Generators as folders: they come back as they were, or one line says what does not fit."""

import json
import sys
from inspect import signature
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from _support.mutants import catches
from _support.small_generators import LABELS, small_far, small_masked, small_xar
from vistok import generators as g

SUBJECT = "vistok.generators.pretrained"
MAKERS = {
    "xar": lambda: small_xar(order="interleaved", gate="gelu", dropout=0.1),
    "far": lambda: small_far((7, 11, 5), stream_order=(2, 0, 1), prefix_rotation="zero"),
    "ids": lambda: small_masked(shape=(2, 3), positions="rotary"),
    "bits": lambda: small_masked("bits", 6, post_norm=True, unmasked_weight=1.0),
}


def drawn(model):
    steps = {"num_steps": 3} if "num_steps" in signature(model.sample).parameters else {}
    return model.sample(LABELS[:2], **steps, generator=torch.Generator().manual_seed(1))


@catches(SUBJECT, "return model.eval()", "return model.train()")
@catches(SUBJECT, "return tuple(_part(each, parts) for each in value)", "return [_part(each, parts) for each in value]")
def test_generators_come_back_as_they_were_in_evaluation_mode(tmp_path):
    for kind, make in MAKERS.items():
        model, folder = make(), tmp_path / kind
        model.save_pretrained(folder)
        loaded = type(model).from_pretrained(folder)
        assert loaded.arguments == model.arguments
        assert not loaded.training
        state = model.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())
        assert torch.equal(drawn(loaded), drawn(model))
        assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "README.md"}


@catches(SUBJECT, 'value.item() if hasattr(value, "item") else value', "value")
def test_numbers_of_numpy_are_saved_as_those_of_python(tmp_path):
    sizes = {"width": np.int64(32), "depth": 2, "num_heads": np.int32(2)}
    options = g.XAROptions(dropout=np.float32(0.1), integer_time=np.bool_(True))
    ids, bits = g.IdTokens((np.int64(7), 11)), g.BitTokens(np.int64(6), np.int64(2))
    made = {
        "far": g.FAR((np.int64(7), np.int64(11)), (np.int64(2), 3), np.int64(5), **sizes),
        "ids": g.MaskedAR(ids, (np.int64(2), 3), np.int64(5), **sizes),
        "bits": g.MaskedAR(bits, 6, 5, **sizes, options=g.MaskedAROptions(dropout=np.float16(0.5))),
        "xar": g.XAR(np.int64(3), (4, 8), (np.int64(2), 4), 5, **sizes, options=options),
    }
    for kind, model in made.items():
        model.eval().save_pretrained(tmp_path / kind)
        loaded = type(model).from_pretrained(tmp_path / kind)
        assert loaded.arguments == model.arguments
        assert torch.equal(drawn(loaded), drawn(model))
    config = json.loads((tmp_path / "xar/config.json").read_text())
    assert (config["num_classes"], config["cell_size"]) == (5, [2, 4])
    assert (config["options"]["dropout"], config["options"]["integer_time"]) == (float(np.float32(0.1)), True)


@pytest.fixture
def saved(tmp_path):
    small_far().save_pretrained(tmp_path, licence="apache-2.0")
    return tmp_path


def change_config(folder, **values):
    """As somebody else's files: the weights carry no copy of the configuration."""
    path = folder / "model.safetensors"
    save_file(load_file(path), path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"class": "XAR"}, "holds XAR, expected FAR"),
        ({"widht": 64}, "got an unexpected keyword argument 'widht'"),
        ({"width": 31}, "need depth >= 1 and width a multiple"),
        ({"options": {"type": "XAROptions"}}, "type: expected one of FAROptions, got 'XAROptions'"),
        ({"options": {"type": "FAROptions", "droput": 0.1}}, "unexpected keyword argument 'droput'"),
    ],
)
def test_a_configuration_that_does_not_fit_is_one_line_with_the_file(saved, values, message):
    change_config(saved, **values)
    with pytest.raises(ValueError, match=rf"\A{saved}/config\.json: [^\n]*{message}[^\n]*\Z"):
        g.FAR.from_pretrained(saved)


@catches(SUBJECT, "if changed:", "if False:")
@catches(SUBJECT, "if copy is not None and not file.exists()", "if copy is None and not file.exists()")
def test_a_configuration_that_is_not_the_saved_one_is_refused(saved):
    config = saved / "config.json"
    config.write_text(config.read_text().replace('"num_classes": 5', '"num_classes": 6'))
    with pytest.raises(ValueError, match=r"is not what the weights were saved with, other num_classes$"):
        g.FAR.from_pretrained(saved)
    config.unlink()
    assert g.FAR.from_pretrained(saved).null_label == 5


@catches(SUBJECT, "except (ValueError, KeyError, TypeError, AttributeError) as error:", "except KeyError as error:")
@catches(SUBJECT, "except (safetensors.SafetensorError, OSError) as error:", "except OSError as error:")
def test_damage_is_one_line_with_the_file(saved):
    for text in ("{", "[1]", "3", "{}"):
        change_config(saved)
        (saved / "config.json").write_text(text)
        with pytest.raises(ValueError, match=rf"\A{saved}/config\.json: no configuration of a generator [^\n]*\Z"):
            g.FAR.from_pretrained(saved)
        (saved / "config.json").write_text("{}")
    weights = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(weights[:-8])
    with pytest.raises(ValueError, match=r"model\.safetensors: damaged or no safetensors file"):
        g.FAR.from_pretrained(saved)


@catches(SUBJECT, 'raise ValueError(f"{weights}: {error}")', "raise ValueError(str(error))")
def test_weights_are_taken_strictly(saved):
    path = saved / "model.safetensors"
    tensors = load_file(path)
    tensors["nrom.weight"] = tensors.pop("norm.weight")
    tensors["merge.bias"] = torch.full_like(tensors["merge.bias"], torch.nan)
    save_file(tensors, path)
    with pytest.raises(ValueError, match=r"model\.safetensors: checkpoint does not fit, 3 entries: ") as caught:
        g.FAR.from_pretrained(saved)
    for said in ("nrom.weight: no place", "norm.weight: not in the checkpoint", "merge.bias: holds values that are"):
        assert said in str(caught.value)


@catches(SUBJECT, "**(given or {})}", "}")
def test_other_options_can_be_given(saved):
    options = g.FAROptions(head_depth=1, dropout=0.5)
    assert g.FAR.from_pretrained(saved, given={"options": options}).options.dropout == 0.5


def test_the_weights_may_be_those_gathered_elsewhere(tmp_path):
    model = small_far()
    averaged = {name: tensor / 2 for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path, state_dict=averaged)
    assert torch.equal(g.FAR.from_pretrained(tmp_path).norm.weight, model.norm.weight / 2)


class Hub:
    """The two calls of the client that upload, and the one that downloads, on a folder."""

    def __init__(self, folder):
        self.folder, self.asked = folder, []

    def __call__(self, *, token=None):
        self.token = token
        return self

    def create_repo(self, repo_id, *, private, exist_ok):
        self.private = private
        (self.folder / repo_id).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(self, *, repo_id, folder_path):
        for path in Path(folder_path).iterdir():
            (self.folder / repo_id / path.name).write_bytes(path.read_bytes())
        return f"https://hub/{repo_id}"

    def download(self, *, repo_id, filename, revision, **_):
        self.asked.append((filename, revision))
        path = self.folder / repo_id / filename
        if not path.exists():
            raise ConnectionError("two\nlines")
        return str(path)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    fake = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", fake)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake.download)
    monkeypatch.chdir(tmp_path)
    return fake


@catches(SUBJECT, 'hub = {"revision": revision', 'hub = {"revision": None')
@catches(SUBJECT, "self.save_pretrained(folder, licence=licence)", "self.save_pretrained(folder)")
def test_a_generator_goes_to_the_hub_and_comes_back(hub):
    model = small_masked("bits", 6)
    assert model.push_to_hub("org/shapes", licence="mit", private=True, token="t") == "https://hub/org/shapes"
    assert (hub.token, hub.private) == ("t", True)
    assert "license: mit" in (hub.folder / "org/shapes/README.md").read_text()
    loaded = g.MaskedAR.from_pretrained("org/shapes", revision="v1")
    assert torch.equal(drawn(loaded), drawn(model))
    assert hub.asked == [("config.json", "v1"), ("model.safetensors", "v1")]


@catches(
    SUBJECT,
    "except Exception as error:",
    "except OSError as error:  # ",
)
def test_without_a_hub_the_line_names_the_files_to_fetch(hub, monkeypatch):
    def offline(**_):
        raise RuntimeError("no network\nhere")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    said = (
        r"org/none: no folder here, and the hub gave no config\.json \(no network here\); fetch config\.json and "
        r"model\.safetensors from https://huggingface\.co/org/none into a folder and name that"
    )
    with pytest.raises(FileNotFoundError, match=rf"\A{said}\Z"):
        g.XAR.from_pretrained("org/none")


@catches(SUBJECT, "isinstance(source, Path) or not _REPOSITORY", "not _REPOSITORY")
@catches(SUBJECT, 'or Path(name.split("/")[0]).is_dir()', "")
def test_a_path_never_goes_to_the_hub(hub):
    Path("here").mkdir()
    for source in ("runs/no/net", "typo", "/typo", "here/typo", Path("org/name")):
        with pytest.raises(FileNotFoundError, match=rf"\A{source}: no such folder\Z"):
            g.XAR.from_pretrained(source)
    assert hub.asked == []
    with pytest.raises(FileNotFoundError, match=r"here/model\.safetensors: no such file"):
        g.XAR.from_pretrained("here")


@catches(SUBJECT, "except ImportError as error:", "except KeyError as error:")
def test_without_the_extra_the_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"\A[^\n]*need safetensors: pip install 'vistok-generators\[hub\]'\Z"):
        g.XAR.from_pretrained(tmp_path)


def test_a_card_that_is_there_stays(saved):
    (saved / "README.md").write_text("mine")
    small_far().save_pretrained(saved)
    assert (saved / "README.md").read_text() == "mine"


@catches(SUBJECT, 'kind.__module__.startswith("vistok.generators.")', 'kind.__module__.startswith("vistok")')
def test_a_network_of_ones_own_is_saved_under_its_own_name(tmp_path):
    class Mine(g.FAR):
        pass

    Mine.__module__ = "vistok_plus"
    Mine((4,), 2, 3, width=8, depth=1, num_heads=1).save_pretrained(tmp_path)
    assert "from vistok_plus import Mine" in (tmp_path / "README.md").read_text()
    assert isinstance(Mine.from_pretrained(tmp_path), Mine)


@catches(SUBJECT, 'name.replace(_COMPILED, "")', "name")
def test_a_generator_with_compiled_blocks_is_written_by_the_plain_names(tmp_path):
    model = small_far((7, 11, 5))
    plain = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for place, block in enumerate(model.blocks):
        model.blocks[place] = torch.compile(block, backend="eager")
    model.eval().save_pretrained(tmp_path)
    loaded = g.FAR.from_pretrained(tmp_path)
    assert loaded.state_dict().keys() == plain.keys()
    assert all(torch.equal(tensor, plain[name]) for name, tensor in loaded.state_dict().items())
    assert torch.equal(drawn(loaded), drawn(model))
