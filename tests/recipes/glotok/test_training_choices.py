"""What the paper says in more than one way, or not at all, can be chosen: terms, starts, averages, files of weights."""

import shutil
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

import glotok.train_tokenizer as stage
from _support.glotok_runs import tiny
from _support.mutants import catches
from _support.precision import with_bfloat16
from _support.recipe_processes import of_stage
from glotok.cli import COMMANDS
from glotok.model import GloTok
from glotok.teacher import cluster_features, load_teacher
from vistok.losses import PatchGANDiscriminator, relation_histogram
from vistok.metrics import FeatureBackbone
from vistok.workbench.config import ConfigError
from vistok.workbench.data import load_images
from vistok.workbench.run.checkpoint import load_checkpoint, load_latest_checkpoint
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.update import Learner

SUBJECT = "glotok.train_tokenizer"
STILL = ("train.learning_rate=1e-12", "train.revive_every=0")


def train(tiny_run, *changes, resume=False):
    """Train the tokenizer of a copy of the prepared run with changed settings."""
    options, paths = tiny_run
    COMMANDS["train-tokenizer"](replace(options, set=changes, resume=resume))
    return paths


@pytest.fixture(scope="module")
def images():
    return load_images("digits", image_size=16).train.batch(torch.arange(8))


def test_every_backbone_of_the_recipe_takes_its_weights_from_a_file(backbone_file, monkeypatch):
    given = FeatureBackbone("lite0", weights=backbone_file).fingerprint()
    assert given != FeatureBackbone("lite0").fingerprint()
    config = tiny(f"losses.perceptual_weights={backbone_file}", f"teacher.weights={backbone_file}")
    assert stage.LossTerms(config.losses, None).perceptual.distance.network.network.fingerprint() == given
    used = []
    patches = FeatureBackbone.patches
    monkeypatch.setattr(
        FeatureBackbone, "patches", lambda self, *a, **k: (used.append(self.fingerprint()), patches(self, *a, **k))[1]
    )
    cluster_features(load_images("digits", image_size=16).train, config.teacher, 4, 0)
    assert set(used) == {given}


@pytest.mark.parametrize("code", ["detached", "attached"])
def test_the_residual_term_trains_the_codes_only_where_they_are_attached(tiny_run, images, code):
    _, paths = tiny_run
    config = tiny(f"losses.residual_code={code}")
    torch.manual_seed(0)
    model = GloTok(config.tokenizer)
    recovery = model.semantic_recovery.project_out.weight
    torch.nn.init.normal_(recovery, std=0.1)  # so that a way through the recovery would show, too
    terms = stage.LossTerms(config.losses, load_teacher(paths, config.losses))
    out = model(images, detach=code == "detached")
    terms(images, out, None)["residual"].backward()
    assert recovery.grad.abs().max() > 0
    reached = model.quantizer.semantic.codebook.grad
    assert (reached is not None and bool(reached.any())) == (code == "attached")


@catches(SUBJECT, "norm=self.config.residual_norm", 'norm="squared"')
def test_the_residual_term_has_each_reading_of_the_papers_bars(tiny_run, images):
    _, paths = tiny_run
    config = tiny()
    torch.manual_seed(0)
    out = GloTok(config.tokenizer)(images)
    gaps = [branch.features - branch.codes - branch.residual for branch in (out.semantic, out.visual)]
    expected = {
        "squared": sum(gap.square().mean() for gap in gaps),
        "l1": sum(gap.abs().mean() for gap in gaps),
        "norm": sum(gap.flatten(1).norm(dim=1).mean() for gap in gaps),
    }
    for norm, value in expected.items():
        losses = tiny(f"losses.residual_norm={norm}").losses
        terms = stage.LossTerms(losses, load_teacher(paths, losses))
        torch.testing.assert_close(terms(images, out, None)["residual"], value)


def test_the_diagonal_counts_on_both_sides_where_it_is_asked_for(tiny_run):
    _, paths = tiny_run
    centres = load_file(paths.teacher)["centres"]
    losses = tiny("losses.histogram_include_diagonal=true").losses
    teacher = load_teacher(paths, losses)
    torch.testing.assert_close(teacher, relation_histogram(centres, include_diagonal=True))
    assert teacher[-1] > load_teacher(paths, tiny().losses)[-1] + 0.01
    assert abs(stage.LossTerms(losses, teacher).histogram(centres).item()) < 1e-4


def test_codebooks_start_at_random_where_it_is_asked_for(tiny_run):
    paths = train(tiny_run, "train.codebook_start=random", "train.steps=1", *STILL)
    config = tiny()
    torch.manual_seed(config.seed)
    drawn = GloTok(config.tokenizer).quantizer.semantic.codebook.detach()
    saved = GloTok.from_pretrained(paths.tokenizer).quantizer.semantic.codebook.detach()
    torch.testing.assert_close(saved, drawn, rtol=0, atol=1e-6)


AVERAGED = ("train.ema_decay=0.75", "train.steps=4", "train.checkpoint_every=1", "losses.discriminator_start=1")


def test_the_tokenizer_is_the_average_of_the_weights_and_resumes_to_the_same_bits(tiny_run):
    paths = train(tiny_run, *AVERAGED, "train.revive_every=0")
    before, last = (load_checkpoint(path) for path in sorted(paths.tokenizer_checkpoints.glob("step-*.pt")))
    saved = load_file(paths.tokenizer / "model.safetensors")
    for name, weight in GloTok(tiny().tokenizer).named_parameters():
        old, new = before["average"][f"module.{name}"], last["model"][name]
        torch.testing.assert_close(saved[name], 0.75 * old + 0.25 * new, rtol=1e-4, atol=1e-6)
        assert weight.shape == saved[name].shape
    assert any(not torch.equal(saved[name], last["model"][name]) for name in saved)

    whole = (paths.tokenizer / "model.safetensors").read_bytes(), of_stage(paths.folder, "tokenizer")
    shutil.rmtree(paths.tokenizer)
    (paths.tokenizer_checkpoints / "step-000000004.pt").unlink()
    train(tiny_run, *AVERAGED, "train.revive_every=0", resume=True)
    assert ((paths.tokenizer / "model.safetensors").read_bytes(), of_stage(paths.folder, "tokenizer")) == whole


def test_a_run_can_start_from_all_that_a_checkpoint_holds(tiny_run, tmp_path):
    options, paths = tiny_run
    prepared = tmp_path / "prepared"
    shutil.copytree(paths.folder, prepared)
    train(tiny_run, *AVERAGED)
    step, first = load_latest_checkpoint(paths.tokenizer_checkpoints)
    newest = paths.tokenizer_checkpoints / f"step-{step:09d}.pt"
    for number, source in enumerate((paths.tokenizer_checkpoints, newest)):
        second = replace(options, runs=tmp_path / f"from-{number}")
        begun = type(paths)(second.runs / "tiny")
        shutil.copytree(prepared, begun.folder)
        changes = (f"train.init_from={source}", "train.betas=[0.5, 0.6]", "train.steps=1", *AVERAGED[:1], *STILL)
        train((second, begun), *changes, "losses.discriminator_start=0")
        (_, state) = load_latest_checkpoint(begun.tokenizer_checkpoints)
        for part in ("model", "discriminator"):
            for name, value in first[part].items():
                if value.is_floating_point():
                    torch.testing.assert_close(state[part][name], value, rtol=0, atol=1e-6)
        for name, _ in GloTok(tiny().tokenizer).named_parameters():
            expected = 0.75 * first["average"][f"module.{name}"] + 0.25 * first["model"][name]
            torch.testing.assert_close(state["average"][f"module.{name}"], expected, rtol=1e-4, atol=1e-6)
        assert state["average"]["n_averaged"] == first["average"]["n_averaged"] + 1
        for part, steps in (("optimizer", 5), ("d_optimizer", 4)):
            assert {int(entry["step"]) for entry in state[part]["state"].values()} == {steps}
            assert tuple(state[part]["param_groups"][0]["betas"]) == (0.5, 0.6)


def test_both_steps_see_the_discriminator_in_the_same_precision(tiny_run, images, monkeypatch):
    """Its last convolution runs in bfloat16 in the generator's step as in its own."""
    with_bfloat16(monkeypatch)
    _, paths = tiny_run
    config = tiny("train.mixed_precision=bf16")
    model, discriminator = GloTok(config.tokenizer), PatchGANDiscriminator(1, 8, 1, norm="group")
    terms = stage.LossTerms(config.losses, load_teacher(paths, config.losses))
    dtypes = []
    discriminator.layers[-1].register_forward_hook(lambda module, given, logits: dtypes.append(logits.dtype))
    tokenizer, d_learner = (
        Learner(
            m, torch.optim.SGD(m.parameters(), lr=1e-3), Accelerator(cpu=True), config.train, FiniteLosses(paths.folder)
        )
        for m in (model, discriminator)
    )
    _, fakes, _ = stage.generator_step(tokenizer, terms, discriminator, [images], 0)
    stage.discriminator_step(d_learner, [images], fakes, lambda real, fake: fake.mean() - real.mean(), 0)
    assert dtypes == [torch.bfloat16] * 3


@pytest.mark.parametrize("key", ["losses.perceptual_weights", "losses.perceptual_heads", "teacher.weights"])
def test_a_file_of_weights_that_is_not_there_is_told_before_anything_runs(tiny_run, key):
    options, paths = tiny_run
    with pytest.raises(ConfigError, match=rf"^{key}: expected a file, got 'nowhere.pth'"):
        COMMANDS["train-tokenizer"](replace(options, set=(f"{key}=nowhere.pth",)))
    assert not paths.tokenizer_checkpoints.exists()


def test_the_histogram_can_change_after_the_teacher_is_made(tiny_run):
    paths = train(tiny_run, "losses.histogram_alpha=50", "losses.histogram_norm=l2", "train.steps=1")
    assert (paths.tokenizer / "model.safetensors").exists()
