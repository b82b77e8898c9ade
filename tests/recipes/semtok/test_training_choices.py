"""Where a training starts, which average it keeps, and which files its frozen networks come from."""

import shutil

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from _support.precision import with_bfloat16
from _support.semtok_runs import tiny, tiny_tokenizer
from semtok import train_refiner, train_tokenizer
from semtok.alignment import TargetSource
from semtok.paths import RunPaths
from vistok.metrics import FeatureBackbone
from vistok.workbench.config import ConfigError
from vistok.workbench.data import load_images
from vistok.workbench.run.checkpoint import load_checkpoint, load_latest_checkpoint


def test_every_backbone_of_the_recipe_takes_its_weights_from_a_file(backbone_file, tmp_path):
    keys = ("losses.perceptual_weights", "refiner.perceptual_weights", "alignment.weights")
    config = tiny(*(f"{key}={backbone_file}" for key in keys), "alignment.cache=false")
    train = load_images("digits", image_size=16).train
    used = [
        train_tokenizer.LossTerms(config.losses, tiny_tokenizer()).perceptual.distance.network.network,
        train_refiner.LossTerms(config.refiner).perceptual.distance.network.network,
        TargetSource(config, RunPaths(tmp_path), train, Accelerator(cpu=True)).backbone,
    ]
    given = FeatureBackbone("lite0", weights=backbone_file).fingerprint()
    assert [network.fingerprint() for network in used] == [given] * 3
    assert given != FeatureBackbone("lite0").fingerprint()


def test_both_stages_refuse_lpips_without_its_files():
    for section in ("losses", "refiner"):
        with pytest.raises(
            ConfigError, match=f"{section}.*expected a file with the weights of LPIPS's VGG16, got none"
        ):
            tiny(f"{section}.perceptual=lpips")


def test_a_training_starts_from_a_tokenizer_or_from_all_that_a_checkpoint_holds(tiny_run, stage_one, tmp_path):
    _, paths = tiny_run
    still = ("train.learning_rate=1e-12", "train.steps=1")
    first = load_file(stage_one / "tokenizer" / "model.safetensors")
    step, whole = load_latest_checkpoint(RunPaths(stage_one).tokenizer_checkpoints)
    for source, steps in ((stage_one / "tokenizer", 1), (RunPaths(stage_one).tokenizer_checkpoints, step + 1)):
        shutil.rmtree(paths.tokenizer_checkpoints, ignore_errors=True)
        train_tokenizer.train_tokenizer(tiny(f"train.init_from={source}", *still), paths, resume=False)
        for name, value in load_file(paths.tokenizer / "model.safetensors").items():
            torch.testing.assert_close(value, first[name], rtol=0, atol=1e-6)
        _, state = load_latest_checkpoint(paths.tokenizer_checkpoints)
        assert {int(entry["step"]) for entry in state["optimizer"]["state"].values()} == {steps}
    for name, value in whole["model"].items():  # the heads, too
        torch.testing.assert_close(state["model"][name], value, rtol=0, atol=1e-6)


def test_the_refiner_is_the_average_of_its_weights_and_resumes_to_the_same_bits(trained_run):
    _, paths = trained_run
    settings = tiny(
        "train_refiner.ema_decay=0.75",
        "train_refiner.steps=4",
        "train_refiner.checkpoint_every=1",
        "train_refiner.learning_rate=0.01",
    )
    train_refiner.train_refiner(settings, paths, resume=False)
    before, last = (load_checkpoint(path) for path in sorted(paths.refiner_checkpoints.glob("step-*.pt")))
    saved = load_file(paths.refined / "model.safetensors")
    for name, value in last["model"].items():
        expected = 0.75 * before["average"][f"module.{name}"] + 0.25 * value
        torch.testing.assert_close(saved[f"refiner.{name}"], expected, rtol=1e-4, atol=1e-6)
    assert any(not torch.equal(saved[f"refiner.{name}"], value) for name, value in last["model"].items())

    whole = (paths.refined / "model.safetensors").read_bytes()
    shutil.rmtree(paths.refined)
    (paths.refiner_checkpoints / "step-000000004.pt").unlink()
    train_refiner.train_refiner(settings, paths, resume=True)
    assert (paths.refined / "model.safetensors").read_bytes() == whole


def test_the_refiners_logits_have_one_precision_in_both_steps(trained_run, monkeypatch):
    with_bfloat16(monkeypatch)
    _, paths = trained_run
    dtypes, build = [], train_refiner.build_discriminator

    def watched(*given):
        discriminator = build(*given)
        discriminator.layers[-1].register_forward_hook(lambda module, seen, logits: dtypes.append(logits.dtype))
        return discriminator

    monkeypatch.setattr(train_refiner, "build_discriminator", watched)
    changes = ("train_refiner.mixed_precision=bf16", "train_refiner.steps=1", "refiner.discriminator_start=0")
    train_refiner.train_refiner(tiny(*changes), paths, resume=False)
    assert dtypes == [torch.bfloat16] * 3
