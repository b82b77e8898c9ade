"""Weights as their authors publish them, and nothing else, from any file."""

import argparse
import logging
from pathlib import PurePosixPath

import pytest
import torch
from safetensors.torch import save_file

from _support.mutants import catches
from vistok.workbench.backbones.weights import WeightsError, read_tensor, read_weights, tensor_problem
from vistok.workbench.run.tensor_files import save_tensors

SUBJECT = "vistok.workbench.backbones.weights"


def state():
    return {"conv.weight": torch.ones(2, 3), "conv.bias": torch.full((2,), 5.0), "steps": torch.tensor(3)}


def same(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def wrapped():
    return {f"module.{name}": tensor for name, tensor in state().items()}


def averaged():
    return {name: tensor * 2 for name, tensor in state().items()}


ARGUMENTS = argparse.Namespace(lr=1e-4, betas=(0.9, 0.95), inner=argparse.Namespace(x=1))
FORMS = {
    "flat": state,
    "model beside arguments": lambda: {"model": state(), "args": ARGUMENTS, "epoch": 3, "optimizer": {"state": {}}},
    "state_dict": lambda: {"state_dict": state(), "epoch": 1, "callbacks": {}},
    "generator": lambda: {"generator": state(), "discriminator": {"x": torch.zeros(1)}},
    "data parallel": lambda: {"model": wrapped()},
    "compiled": lambda: {f"_orig_mod.{name}": tensor for name, tensor in state().items()},
    "compiled and parallel": lambda: {f"module._orig_mod.{name}": tensor for name, tensor in state().items()},
    "average of ours": lambda: {"average": {"n_averaged": torch.tensor(3), **wrapped()}},
    "two levels": lambda: {"state_dict": {"model": state()}, "hyper_parameters": {"lr": 1.0}},
    "dictionaries for dots": lambda: {
        "conv": {"weight": state()["conv.weight"], "bias": state()["conv.bias"]},
        "steps": torch.tensor(3),
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("old", [False, True])
def test_weights_are_found_in_every_form_that_authors_publish(tmp_path, form, old):
    path = tmp_path / "theirs.pth"
    torch.save(FORMS[form](), path, _use_new_zipfile_serialization=not old)
    assert same(read_weights(path), state())


@pytest.mark.parametrize("save", [save_file, lambda tensors, path: save_tensors(path, tensors)])
def test_safetensors_are_known_by_their_content_not_their_name(tmp_path, save):
    save(state(), tmp_path / "weights.bin")
    assert same(read_weights(tmp_path / "weights.bin"), state())
    assert torch.equal(read_tensor(tmp_path / "weights.bin", "conv.bias"), state()["conv.bias"])


@catches(SUBJECT, "return _state(node[usual[0]]", "return _state(node[usual[-1]]")
def test_averaged_weights_come_first_and_the_log_says_so(tmp_path, caplog):
    torch.save({"model": state(), "model_ema": averaged()}, tmp_path / "a.pth")
    with caplog.at_level(logging.INFO):
        assert same(read_weights(tmp_path / "a.pth"), averaged())
    assert "weights of entry model_ema; also there: model" in caplog.text
    assert same(read_weights(tmp_path / "a.pth", "model"), state())


def test_a_dotted_key_reaches_into_dictionaries(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"networks": {"main.part": wrapped()}}, path)
    assert same(read_weights(path, "networks.main.part"), state())
    assert torch.equal(read_tensor(path, "networks.main.part.module.conv.bias"), state()["conv.bias"])


@catches(SUBJECT, 'node.get(".".join(parts[:count]))', "node.get(parts[count - 1])")
def test_names_with_dots_are_found_at_every_place_of_a_key(tmp_path):
    torch.save({"main.part": {"network": state()}, "main": {"network.part": averaged()}}, tmp_path / "a.pt")
    assert same(read_weights(tmp_path / "a.pt", "main.part.network"), state())
    assert same(read_weights(tmp_path / "a.pt", "main.network.part"), averaged())


def test_a_wrong_key_names_the_file_and_what_is_close(tmp_path):
    torch.save({"model": state(), "args": ARGUMENTS}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"a\.pt: no 'model\.conv\.weights'; it has model\.conv\.weight, "):
        read_tensor(tmp_path / "a.pt", "model.conv.weights")
    with pytest.raises(WeightsError, match=r"a\.pt: no 'modell'; it has model, "):
        read_weights(tmp_path / "a.pt", "modell")


@catches(SUBJECT, "weights_only=True, mmap", "weights_only=False, mmap")
def test_only_the_arguments_of_scripts_are_unpickled_beside_tensors(tmp_path):
    torch.save({"model": state(), "path": PurePosixPath("x")}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"a\.pt: holds a pathlib\S*\.PurePosixPath, which only unsafe loading"):
        read_weights(tmp_path / "a.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "b.pt")
    with pytest.raises(WeightsError, match=r"b\.pt: holds a torch\.nn\.modules\.linear\.Linear, which only unsafe"):
        read_weights(tmp_path / "b.pt")


DAMAGED = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("hello, these are no weights"),
    "folder": lambda path: path.mkdir(),
    "missing": lambda path: None,
    "half": lambda path: (torch.save(state(), path), path.write_bytes(path.read_bytes()[:900])),
    "half safetensors": lambda path: (save_file(state(), path), path.write_bytes(path.read_bytes()[:150])),
    "list": lambda path: torch.save([torch.ones(2)], path),
    "bare tensor": lambda path: torch.save(torch.ones(2), path),
    "no tensors": lambda path: torch.save({"model": {}}, path),
    "numbers": lambda path: torch.save({"model": {"lr": 1.0}}, path),
    "sparse": lambda path: torch.save({"x": torch.eye(3).to_sparse()}, path),
    "complex": lambda path: torch.save({"x": torch.zeros(2, dtype=torch.complex64)}, path),
    "int8": lambda path: torch.save({"x": torch.zeros(2, dtype=torch.int8)}, path),
    "nan": lambda path: torch.save({"x": torch.tensor([1.0, float("nan")])}, path),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("read", [read_weights, lambda path: read_tensor(path, "x")])
def test_whatever_cannot_be_used_is_one_line_with_the_file(tmp_path, kind, read):
    path = tmp_path / "file.pt"
    DAMAGED[kind](path)
    with pytest.raises(WeightsError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) - len(str(path)) < 300


def test_a_dictionary_that_holds_itself_ends_in_one_line(tmp_path):
    loop = {"a": 1}
    loop["model"] = loop
    torch.save(loop, tmp_path / "loop.pt")
    with pytest.raises(WeightsError, match=r"loop\.pt: .*expected a tensor, got int"):
        read_weights(tmp_path / "loop.pt")


@catches(SUBJECT, "((value == 0) | value.isneginf()).all()", "value.isneginf().any()")
@catches(SUBJECT, "(value == 0) | value.isneginf()", "(value == 0) | value.isinf()")
def test_masks_of_attention_are_no_damage():
    assert tensor_problem(torch.full((2, 2), float("-inf")).triu(1)) is None
    assert tensor_problem(torch.tensor([0.0, float("inf")])) == "holds values that are not finite"
    assert tensor_problem(torch.tensor([0.5, float("-inf")])) == "holds values that are not finite"
