"""The teacher's token set comes from features or from a checkpoint's key."""

import argparse
import json
import logging
import math

import pytest
import torch
from safetensors.torch import save_file

from _support.mutants import catches
from glotok.cli import COMMANDS, Options, resolve
from glotok.config import LossConfig
from glotok.paths import RunPaths
from glotok.teacher import load_teacher, make_teacher, read_token_set
from vistok.losses import relation_histogram
from vistok.workbench.backbones.weights import WeightsError
from vistok.workbench.config import ConfigError
from vistok.workbench.run.files import DamagedFileError

SUBJECT = "glotok.teacher"


@catches(SUBJECT, "relation_histogram(centres, **losses.histogram)", "relation_histogram(centres)")
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_pretrained_codebook_serves_as_teacher(tmp_path, suffix):
    codebook = torch.randn(32, 12, generator=torch.Generator().manual_seed(0))
    path = tmp_path / f"codebook{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(
        {"quantize.embedding": codebook, "bias": torch.zeros(3)}, path
    )
    assert torch.equal(read_token_set(path, "quantize.embedding"), codebook)
    with pytest.raises(WeightsError, match=r"codebook\.\w+: no 'embedding'; it has quantize\.embedding"):
        read_token_set(path, "embedding")
    with pytest.raises(WeightsError, match=r"codebook\.\w+: expected bias to be a 2-D tensor"):
        read_token_set(path, "bias")
    settings = (f"teacher.checkpoint={path}", "teacher.source=checkpoint", "teacher.key=quantize.embedding")
    config = resolve(Options(set=settings))
    make_teacher(config, RunPaths(tmp_path))
    expected = relation_histogram(codebook, bins=40, alpha=190.0)
    torch.testing.assert_close(load_teacher(RunPaths(tmp_path), config.losses), expected)
    finer = load_teacher(RunPaths(tmp_path), LossConfig(histogram_bins=20))
    torch.testing.assert_close(finer, relation_histogram(codebook, bins=20, alpha=190.0))


def test_a_missing_checkpoint_is_named(tmp_path):
    missing = tmp_path / "nowhere.pt"
    settings = (f"teacher.checkpoint={missing}", "teacher.source=checkpoint", "teacher.key=x")
    with pytest.raises(ConfigError, match=r"teacher\.checkpoint and teacher\.key: .*nowhere\.pt: no such file"):
        make_teacher(resolve(Options(set=settings)), RunPaths(tmp_path))


def test_the_file_of_a_training_script_serves_as_teacher_as_it_is(tmp_path):
    """LlamaGen's and FQGAN's files: weights one level down, beside the script's arguments and the optimizer's state."""
    codebook = torch.randn(32, 12, generator=torch.Generator().manual_seed(0))
    state = {"quantize_sem.embedding.weight": codebook}
    args = argparse.Namespace(lr=1e-4, image_size=256, betas=[0.9, 0.95])
    torch.save({"model": state, "optimizer": {"state": {}}, "steps": 3, "args": args}, tmp_path / "theirs.pt")
    for key in ("model.quantize_sem.embedding.weight", "quantize_sem.embedding.weight"):
        assert torch.equal(read_token_set(tmp_path / "theirs.pt", key), codebook)


@catches(SUBJECT, "if rms < floor", "if mean < floor - 1")
def test_an_unreachable_teacher_is_warned_about(tmp_path, caplog):
    """Orthogonal vectors have rms cosine 0, below what 256 codes in 8 dimensions can have."""
    save_file({"codes": torch.eye(64)}, tmp_path / "eye.safetensors")
    settings = (f"teacher.checkpoint={tmp_path / 'eye.safetensors'}", "teacher.source=checkpoint", "teacher.key=codes")
    with caplog.at_level(logging.INFO):
        make_teacher(resolve(Options(set=settings)), RunPaths(tmp_path))
    bound = math.sqrt((256 / 8 - 1) / 255)
    assert f"rms cosine 0.000 is below {bound:.3f}" in caplog.text


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: data[:300] + b"?" + data[301:]])
def test_a_damaged_teacher_is_told_by_its_file(tiny_run, damage):
    options, paths = tiny_run
    paths.teacher.write_bytes(damage(paths.teacher.read_bytes()))
    with pytest.raises(DamagedFileError, match=r"tiny/teacher\.safetensors: damaged"):
        load_teacher(paths, resolve(options).losses)
    with pytest.raises(ValueError, match=r"tiny/teacher\.safetensors: "):
        COMMANDS["train-tokenizer"](options)


def test_the_record_of_the_teacher_says_how_it_was_made(tiny_run):
    _, paths = tiny_run
    record = json.loads(paths.teacher.with_suffix(".json").read_text())
    assert record["num_centres"] == 16
    assert record["backbone"] == "lite0"
    assert record["rms_cosine"] >= abs(record["mean_cosine"])
