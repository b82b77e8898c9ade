"""The teacher's token set comes from features or from a checkpoint's key."""

import argparse
import json
import logging
import math

import pytest
import torch
from safetensors.torch import save_file

from _support.glotok_runs import tiny
from _support.mutants import catches
from glotok.cli import COMMANDS, Options, prepare, resolve
from glotok.config import LossConfig
from glotok.model import GloTok
from glotok.paths import RunPaths
from glotok.report import teacher_name
from glotok.teacher import load_teacher, make_teacher, pooled_features, random_directions, read_token_set
from vistok.losses import relation_histogram
from vistok.metrics import FeatureBackbone
from vistok.workbench.backbones.weights import WeightsError
from vistok.workbench.config import ConfigError
from vistok.workbench.data import load_images
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


@catches(SUBJECT, "points.mean(dim=0)", "points.mean()")
def test_centred_features_have_mean_zero():
    train = load_images("digits", image_size=16).train
    plain, centred = (pooled_features(train, tiny(f"teacher.centre={c}").teacher, 0) for c in ("false", "true"))
    assert plain.mean(dim=0).abs().max() > 0.1
    torch.testing.assert_close(centred, plain - plain.mean(dim=0))


@catches(SUBJECT, "num_stages=config.stage,", "num_stages=config.stage + 1,")
@catches(SUBJECT, "image_size=config.image_size)[-1]", "image_size=config.image_size)[0]")
def test_features_are_those_of_the_stage_that_is_asked_for():
    train = load_images("digits", image_size=16).train
    config = tiny("teacher.stage=2").teacher
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[: config.num_images]
    features = FeatureBackbone().stages(train.batch(order), image_size=config.image_size)[1]
    torch.testing.assert_close(pooled_features(train, config, 0), features.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)


def test_a_stage_that_the_backbone_lacks_is_told_before_anything_runs():
    prepare(Options(set=("teacher.stage=5",)))
    with pytest.raises(ConfigError, match=r"^teacher\.stage: expected 1 to 5 for lite0, got 6"):
        prepare(Options(set=("teacher.stage=6",)))


@catches(SUBJECT, "manual_seed(seed)), dim=1)", "manual_seed(0)), dim=1)")
@catches(SUBJECT, "backbone.stage_channels[config.stage - 1]", "backbone.stage_channels[config.stage]")
def test_random_directions_are_of_the_seed_and_as_wide_as_what_they_stand_for(tmp_path):
    wide, narrow, staged = (
        tiny("teacher.source=random", *changes).teacher
        for changes in ((), ("teacher.dimension=12",), ("teacher.stage=1",))
    )
    drawn = random_directions(500, narrow, 3)
    assert drawn.shape == (500, 12)
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(500))
    assert (drawn.mean(dim=0).abs() < 0.06).all()
    assert torch.equal(drawn, random_directions(500, narrow, 3))
    assert not torch.equal(drawn, random_directions(500, narrow, 4))
    assert random_directions(4, wide, 0).shape == (4, FeatureBackbone().dim)
    assert random_directions(4, staged, 0).shape == (4, FeatureBackbone().stage_channels[0])
    config = resolve(Options(set=("teacher.source=random", "teacher.dimension=12")))
    make_teacher(config, RunPaths(tmp_path))
    record = json.loads(RunPaths(tmp_path).teacher.with_suffix(".json").read_text())
    assert (record["num_centres"], record["dimension"], teacher_name(record)) == (256, 12, "random directions")


def test_the_codebook_of_another_run_serves_as_teacher(tmp_path):
    """By the key that the page of the recipe names."""
    tokenizer = GloTok(tiny().tokenizer)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    given = ("teacher.source=checkpoint", f"teacher.checkpoint={tmp_path}/tokenizer/model.safetensors")
    config = resolve(Options(set=(*given, "teacher.key=quantizer.semantic.weight")))
    make_teacher(config, RunPaths(tmp_path))
    expected = relation_histogram(tokenizer.quantizer.semantic.codebook.detach())
    torch.testing.assert_close(load_teacher(RunPaths(tmp_path), config.losses), expected)
