"""Damaged files of a run and of others: told in one line with the file's name, or as they were; never other values."""

import argparse
import json

import pytest
import torch
from hypothesis import given
from safetensors.torch import save as their_bytes
from torch import nn

from _support.fuzzing import cases, check_told, succeeds_or_is_told
from _support.mutated_bytes import MUTATIONS, mutated
from vistok.workbench.backbones.pretrained import Pretrained
from vistok.workbench.backbones.weights import WeightsError, read_tensor, read_weights
from vistok.workbench.run.checkpoint import CheckpointError, checkpoint_path, load_latest_checkpoint, save_checkpoint
from vistok.workbench.run.files import DamagedFileError, read_json
from vistok.workbench.run.tensor_files import is_whole, load_tensors, save_tensors
from vistok.workbench.run.tracking import MetricsLog, read_metrics

TENSORS = {
    "images": torch.arange(96, dtype=torch.uint8).reshape(2, 3, 4, 4),
    "weight": torch.linspace(-1, 1, 40).reshape(8, 5),
    "labels": torch.arange(2),
}


def same(found, expected):
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@given(mutations=MUTATIONS)
@cases(60)
def test_tensors_of_a_damaged_file_are_never_others(place, mutations):
    path = place / "tokens.safetensors"
    save_tensors(path, TENSORS, {"note": "x"})
    path.write_bytes(mutated(path.read_bytes(), mutations))
    with succeeds_or_is_told(DamagedFileError, mentions=str(path)):
        loaded = load_tensors(path)
        assert is_whole(path)
        assert same(loaded, TENSORS)


@given(mutations=MUTATIONS)
@cases(60)
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(place, mutations):
    for step in (1, 2):
        save_checkpoint(place, step, {"model": {**TENSORS, "step": torch.tensor(step)}})
    path = checkpoint_path(place, 2)
    path.write_bytes(mutated(path.read_bytes(), mutations))
    step, state = load_latest_checkpoint(place)
    assert same(state["model"], {**TENSORS, "step": torch.tensor(step)})
    path.unlink()


@given(mutations=MUTATIONS)
@cases(40)
def test_a_folder_of_damaged_checkpoints_is_told(place, mutations):
    folder = place / "alone"
    path = save_checkpoint(folder, 1, {"model": TENSORS})
    path.write_bytes(mutated(path.read_bytes(), mutations))
    with succeeds_or_is_told(CheckpointError, mentions=str(folder)):
        assert same(load_latest_checkpoint(folder)[1]["model"], TENSORS)


@given(mutations=MUTATIONS)
@cases(60)
def test_damaged_json_is_told(place, mutations):
    path = place / "figures.json"
    path.write_bytes(mutated(json.dumps({"psnr": 23.5, "names": ["a", "ö"], "deep": {"x": None}}).encode(), mutations))
    with succeeds_or_is_told(DamagedFileError, mentions=str(path)):
        assert "psnr" in read_json(path, "psnr")


@given(mutations=MUTATIONS)
@cases(40)
def test_the_whole_lines_of_a_damaged_metrics_file_are_read(place, mutations):
    path = place / "metrics.jsonl"
    path.unlink(missing_ok=True)
    log = MetricsLog(path)
    for step in range(5):
        log.write("tokenizer", step, {"loss": 0.5})
    path.write_bytes(mutated(path.read_bytes(), mutations))
    log.rewind("tokenizer", 3)
    assert all(line["step"] <= 3 or line["stage"] != "tokenizer" for line in read_metrics(path))


THEIRS = {"model": {"module.conv.weight": torch.ones(4, 3), "module.conv.bias": torch.zeros(4)}, "epoch": 3}


def their_files(path):
    torch.save({**THEIRS, "args": argparse.Namespace(lr=0.1)}, path)
    yield path.read_bytes()
    torch.save(THEIRS, path, _use_new_zipfile_serialization=False)
    yield path.read_bytes()
    yield their_bytes(THEIRS["model"])


@pytest.mark.parametrize("form", range(3), ids=["archive", "old", "safetensors"])
@given(mutations=MUTATIONS)
@cases(60)
def test_a_damaged_checkpoint_of_others_is_read_or_told(place, form, mutations):
    path = place / "theirs.pth"
    original = list(their_files(path))[form]
    path.write_bytes(mutated(original, mutations))
    with succeeds_or_is_told(WeightsError, mentions=str(path)):
        weights = read_weights(path)
        assert all(isinstance(tensor, torch.Tensor) and bool(tensor.isfinite().all()) for tensor in weights.values())
    with succeeds_or_is_told(WeightsError, mentions=str(path)):
        assert bool(read_tensor(path, "conv.bias").isfinite().all())


class Network(nn.Module, Pretrained):
    def __init__(self, width: int, kind: str = "plain") -> None:
        super().__init__()
        self.kind = kind
        self.inner = nn.Linear(3, width)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@given(mutations=MUTATIONS)
@cases(50)
def test_a_damaged_network_is_told_or_as_it_was(place, name, mutations):
    folder = place / "network"
    network = Network(5, kind="other")
    network.save_pretrained(folder)
    file = folder / name
    file.write_bytes(mutated(file.read_bytes(), mutations))
    try:
        loaded = Network.from_pretrained(folder)
    except DamagedFileError as error:
        check_told(error, mentions=str(folder))
        return
    assert loaded.kind == "other"
    assert same(loaded.state_dict(), network.state_dict())
