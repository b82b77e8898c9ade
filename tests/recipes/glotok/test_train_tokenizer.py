"""The training step: no teacher network, exact accumulation, a discriminator that only its own step moves."""

import copy
import math
import shutil
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

import glotok.train_tokenizer as stage
from _support.forked_processes import run_forked_line
from _support.mutants import catches
from _support.recipe_processes import assert_same_training, documented_line
from _support.seeing_tracker import assert_training_images_beside_others, pictures_shown
from glotok.cli import COMMANDS, resolve
from glotok.model import GloTok
from glotok.teacher import load_teacher
from vistok.losses import PatchGANDiscriminator, chroma_loss, discriminator_loss
from vistok.metrics import FeatureBackbone
from vistok.workbench.config import ConfigError
from vistok.workbench.data import load_images
from vistok.workbench.run.tracking import read_metrics
from vistok.workbench.training.adversarial_training import discriminator_step
from vistok.workbench.training.finite import FiniteLosses, NonFiniteLossError
from vistok.workbench.training.perceptual_term import PerceptualTerm
from vistok.workbench.training.update import Learner
from vistok.workbench.training.weight_average import weight_average

SUBJECT = "glotok.train_tokenizer"
DIVIDED = [(4, "none"), (2, "full")]


@pytest.fixture
def parts(tiny_run):
    options, paths = tiny_run
    config = resolve(options)
    torch.manual_seed(0)
    model = GloTok(config.tokenizer)
    discriminator = PatchGANDiscriminator(
        1, config.discriminator.base_width, config.discriminator.num_layers, norm="group"
    )
    terms = stage.LossTerms(config.losses, load_teacher(paths, config.losses))
    images = load_images("digits", image_size=16).train.batch(torch.arange(8))
    return config, paths, model, discriminator, terms, images


def learner(network, config, paths, learning_rate=1e-2):
    """A network that plain gradient descent trains."""
    optimizer = torch.optim.SGD(network.parameters(), lr=learning_rate)
    return Learner(network, optimizer, Accelerator(cpu=True), config.train, FiniteLosses(paths.folder))


def run_step(parts, micro_batches, learning_rate=1e-2):
    """One generator and one discriminator update by plain gradient descent; returns the two networks and the terms."""
    config, paths, model, discriminator, terms, _ = parts
    model, discriminator = copy.deepcopy(model), copy.deepcopy(discriminator)
    tokenizer, d_learner = (learner(network, config, paths, learning_rate) for network in (model, discriminator))
    log, fakes, _ = stage.generator_step(tokenizer, terms, discriminator, micro_batches, 0)
    log["discriminator"] = discriminator_step(d_learner, micro_batches, fakes, discriminator_loss, 0)
    return model, discriminator, log


def test_accumulated_micro_batches_equal_the_whole_batch_with_the_gan_step(parts):
    images = parts[-1]
    whole = run_step(parts, [images])
    halves = run_step(parts, list(images.chunk(2)))
    for a, b in zip(whole[:2], halves[:2], strict=True):
        for (name, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")
    for name in whole[2]:
        torch.testing.assert_close(whole[2][name], halves[2][name], rtol=1e-4, atol=1e-6)


@catches(SUBJECT, "return weighted_sum(terms, self.config)", "return sum(terms.values())")
def test_the_total_is_equation_13(parts):
    config, paths, model, discriminator, _, images = parts
    terms = stage.LossTerms(config.losses, load_teacher(paths, config.losses))
    out = model(images)
    values = terms(images, out, discriminator(out.reconstruction))
    assert set(values) == {"reconstruction", "quantization", "histogram", "residual", "perceptual", "adversarial"}
    w = config.losses
    expected = (
        w.reconstruction_weight * values["reconstruction"]
        + w.quantization_weight * values["quantization"]
        + w.perceptual_weight * values["perceptual"]
        + w.adversarial_weight * values["adversarial"]
        + 0.5 * values["residual"]
        + 0.01 * values["histogram"]
    )
    torch.testing.assert_close(terms.total(values), expected)


@catches(SUBJECT, "if out.semantic.residual is not None and out.visual.residual is not None:", "if True:")
def test_without_recovery_there_is_no_residual_term(parts):
    from glotok.model import GloTok

    config, paths, *_, images = parts
    plain = GloTok(config.tokenizer.model_copy(update={"residual": False}))
    terms = stage.LossTerms(config.losses, load_teacher(paths, config.losses))
    assert "residual" not in terms(images, plain(images), None)


def test_a_chroma_term_counts_wrong_colours_once_more_and_is_absent_by_default(parts):
    from glotok.config import TokenizerConfig

    settings, paths = parts[0], parts[1]
    colour = TokenizerConfig(**{**settings.tokenizer.model_dump(), "image_channels": 3})
    model = GloTok(colour)
    teacher = load_teacher(paths, settings.losses)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    out = model(images)
    plain, coloured = (
        stage.LossTerms(settings.losses.model_copy(update={"chroma_weight": weight}), teacher) for weight in (0.0, 3.0)
    )
    assert settings.losses.chroma_weight == 0
    without = plain(images, out, None)
    with_it = coloured(images, out, None)
    assert set(with_it) - set(without) == {"chroma"}
    torch.testing.assert_close(with_it["chroma"], chroma_loss(out.reconstruction, images))
    torch.testing.assert_close(coloured.total(with_it), plain.total(without) + 3 * with_it["chroma"])


def test_grey_images_have_no_chroma_to_learn(tiny_run):
    from dataclasses import replace

    options, _ = tiny_run
    with pytest.raises(ConfigError, match=r"losses.chroma_weight: expected 0 for grey images, got 2"):
        resolve(replace(options, set=("losses.chroma_weight=2",)))


@catches(SUBJECT, "    with frozen(adversary):", "    if True:")
def test_the_generators_step_leaves_no_trace_in_the_discriminator(parts):
    config, paths, model, discriminator, terms, images = parts
    before = copy.deepcopy(discriminator.state_dict())
    stage.generator_step(learner(model, config, paths), terms, discriminator, [images], 0)
    assert all(torch.equal(before[name], value) for name, value in discriminator.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())


def test_the_discriminator_learns_only_from_its_start_step(tiny_run):
    options, paths = tiny_run
    COMMANDS["train-tokenizer"](options)
    lines = read_metrics(paths.metrics)
    assert [("discriminator" in line, "adversarial" in line) for line in lines] == [(False, False)] * 3 + [
        (True, True)
    ] * 3


@catches(SUBJECT, "= reals[-1], fakes[-1]", "= fakes[-1], reals[-1]")
def test_trackers_see_training_images_beside_their_reconstructions(tiny_run, monkeypatch):
    options, paths = tiny_run
    shown = pictures_shown(monkeypatch)
    config = resolve(replace(options, set=("train.steps=2", "train.track=[tensorboard]", "losses.perceptual_weight=0")))
    stage.train_tokenizer(config, paths, resume=False)
    ((step, pairs),) = shown
    assert (step, pairs.shape) == (2, (8, 16, 32, 1))
    assert_training_images_beside_others(pairs, config)


def test_no_teacher_network_exists_in_training(tiny_run, monkeypatch):
    """Without the perceptual term no backbone is built at all; with it, exactly the perceptual one is."""
    built = []
    construct = FeatureBackbone.__init__
    monkeypatch.setattr(
        FeatureBackbone,
        "__init__",
        lambda self, name="lite0", **options: (built.append(name), construct(self, name, **options))[0],
    )
    monkeypatch.setattr(FeatureBackbone, "patches", lambda *_, **__: pytest.fail("a semantic feature was asked for"))
    monkeypatch.setattr(FeatureBackbone, "pooled", lambda *_, **__: pytest.fail("a semantic feature was asked for"))
    options, _ = tiny_run
    COMMANDS["train-tokenizer"](replace(options, set=("losses.perceptual_weight=0", "train.steps=2")))
    assert built == []
    COMMANDS["train-tokenizer"](replace(options, set=("train.steps=2",), fresh=True))
    assert built == ["lite0"]


def test_random_crops_reach_training(tiny_run):
    options, paths = tiny_run
    firsts = []
    for crop in (False, True):
        config = resolve(replace(options, set=(f"data.random_crop={crop}", "train.steps=1")))
        shutil.rmtree(paths.tokenizer_checkpoints, ignore_errors=True)
        stage.train_tokenizer(config, paths, resume=False)
        firsts.append(read_metrics(paths.metrics)[-1])
    assert firsts[0]["step"] == firsts[1]["step"] == 1
    assert firsts[0]["reconstruction"] != firsts[1]["reconstruction"]


def test_a_nan_stops_the_run_and_names_the_term(tiny_run, monkeypatch):
    options, paths = tiny_run
    monkeypatch.setattr(PerceptualTerm, "forward", lambda self, a, b: a.sum() * math.nan)
    with pytest.raises(NonFiniteLossError, match="step 0: loss term perceptual is nan"):
        COMMANDS["train-tokenizer"](options)
    assert load_file(paths.folder / "nonfinite-step-0.safetensors")["images"].shape == (8, 1, 16, 16)


@catches(SUBJECT, "follow_replaced_rows(quantizer.codebook, averaged.codebook, rows, optimizer)", "pass")
@catches(SUBJECT, "averaged.codebook, rows, optimizer)", "quantizer.codebook, rows, optimizer)")
def test_revived_rows_forget_their_moments(parts):
    config, _, model, _, terms, images = parts
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(2):
        out = model(images)
        terms.total(terms(images, out, None)).backward()
        optimizer.step()
        model.quantizer.update()
    before = model.quantizer.semantic.codebook.detach().clone()
    features = (out.semantic.features.detach(), out.visual.features.detach())
    average = weight_average(model, 0.9)
    count = stage.revive_codebooks(model, average, optimizer, features, config, step=1)
    replaced = (model.quantizer.semantic.codebook != before).any(1)
    averaged = average.module.quantizer.semantic.codebook
    assert torch.equal(averaged[replaced], model.quantizer.semantic.codebook[replaced])
    moments = optimizer.state[model.quantizer.semantic.codebook]
    assert 0 < replaced.sum() <= count
    assert moments["exp_avg"][replaced].abs().max() == 0
    assert moments["exp_avg_sq"][replaced].abs().max() == 0
    if (~replaced).any():
        assert moments["exp_avg_sq"][~replaced].abs().max() > 0


def test_a_run_can_start_from_saved_weights(tiny_run, tmp_path):
    options, paths = tiny_run
    config = resolve(options)
    torch.manual_seed(5)
    GloTok(config.tokenizer).save_pretrained(tmp_path / "saved")
    still = (f"train.init_from={tmp_path / 'saved'}", "train.learning_rate=1e-12", "train.revive_every=0")
    COMMANDS["train-tokenizer"](replace(options, set=still))
    before, after = (load_file(folder / "model.safetensors") for folder in (tmp_path / "saved", paths.tokenizer))
    for name, value in before.items():
        if value.is_floating_point():
            torch.testing.assert_close(after[name], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("count", "sharding"), [(2, "none"), *(pytest.param(*each, marks=pytest.mark.slow) for each in DIVIDED)]
)
def test_several_processes_with_their_shares_of_a_batch_follow_one_with_the_whole(count, sharding, tiny_run, tmp_path):
    """By the documented line, from a data-dependent start to the discriminator: the same terms and the same weights."""
    options, paths = tiny_run
    one = replace(options, set=("train.learning_rate=1e-4", "train.ema_decay=0.5", "losses.entropy_weight=0.1"))
    several = replace(one, runs=tmp_path / "several", set=(*one.set, f"train.sharding={sharding}"))
    shutil.copytree(paths.folder, several.runs / "tiny")
    COMMANDS["train-tokenizer"](one)
    line = documented_line("glotok", "train-tokenizer").replace("--nproc_per_node 2", f"--nproc_per_node {count}")
    settings = [word for value in several.set for word in ("--set", value)]
    done = run_forked_line(line, "--config", several.config, "--runs", several.runs, *settings)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count(f"training in {count} processes on ") == 1
    assert "deprecated" not in done.stderr
    assert_same_training(paths.folder, several.runs / "tiny", "tokenizer", "tokenizer/model.safetensors", steps=6)
