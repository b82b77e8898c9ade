"""Stage I as a whole: terms, averages, precision, division of the batch among micro-batches and processes."""

import math
import shutil
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import semtok.train_tokenizer as stage
from _support.forked_processes import run_forked_line
from _support.mutants import catches
from _support.precision import with_bfloat16
from _support.recipe_processes import assert_same_training, documented_line
from _support.seeing_tracker import assert_training_images_beside_others, pictures_shown
from _support.semtok_runs import (
    assert_gradients_agree,
    generator,
    gradients_of_every_step,
    pictures,
    tiny,
    tiny_tokenizer,
)
from semtok.cli import COMMANDS
from semtok.config import LossConfig
from semtok.draws import Draws
from semtok.train_refiner import train_refiner as train_second_stage
from vistok.workbench.config import ConfigError
from vistok.workbench.run.tracking import read_metrics
from vistok.workbench.training.finite import NonFiniteLossError
from vistok.workbench.training.perceptual_term import PerceptualTerm

SUBJECT = "semtok.train_tokenizer"


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_equal_weights(ours, theirs, **tolerance):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if value.is_floating_point():
            text = lambda message, name=name: f"{name}: {message}"  # noqa: E731
            torch.testing.assert_close(theirs[name], value, **tolerance, msg=text)


def close(a, b, rtol=1e-4):
    torch.testing.assert_close(a.double(), b.double(), rtol=rtol, atol=1e-5)


@catches(SUBJECT, "out.x_t, draws.t[:", "out.x_t, 1 - draws.t[:")
@catches(SUBJECT, "from_space(estimate)", "from_space(out.target)")
def test_flow_and_perceptual_terms_are_those_of_the_velocity_and_of_the_one_step_estimate():
    """In float64 from the definitions."""
    tokenizer, images, t = tiny_tokenizer(), pictures(), torch.tensor([0.2, 0.5, 0.9])
    noise, hidden = torch.randn(3, 1, 16, 16, generator=generator(1)), torch.arange(4) >= torch.tensor([[4], [2], [0]])
    out = tokenizer(images, Draws(t, noise, hidden))
    terms = stage.LossTerms(LossConfig(perceptual_stages=1), tokenizer)
    values = terms(images, Draws(t, noise, hidden), out)
    x, time, predicted = images.double(), t.double()[:, None, None, None], out.predicted.double()
    close(values["flow"], ((predicted - (noise.double() - x)) ** 2).mean())
    stages = terms.perceptual.distance.network.network.stages
    x_t = (1 - time) * x + time * noise.double()
    estimate, target = (stages(part.float(), num_stages=1)[0] for part in (x_t - time * predicted, x))
    estimate, target = (F.normalize(part.double(), dim=1) for part in (estimate, target))
    close(values["perceptual"], (estimate - target).square().sum(1).mean(), rtol=1e-3)


@catches(SUBJECT, "weighted_sum(terms, self.config)", "sum(terms.values())")
def test_the_total_weighs_each_term():
    config = LossConfig(perceptual_weight=0, flow_weight=0.7, entropy_weight=0.3, alignment_weight=0.2)
    values = {"flow": torch.tensor(2.0), "entropy": torch.tensor(-3.0), "alignment": torch.tensor(5.0)}
    close(stage.LossTerms(config, None).total(values), torch.tensor(0.7 * 2 - 0.3 * 3 + 0.2 * 5))


def test_it_logs_every_term_and_leaves_a_tokenizer(tiny_run):
    options, paths = tiny_run
    COMMANDS["train-tokenizer"](options)
    lines = read_metrics(paths.metrics)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert all({"flow", "entropy", "perceptual", "alignment", "learning_rate"} <= set(line) for line in lines)
    # The decoder starts at zero, so the first flow term is the mean square of noise minus image.
    assert 1.2 < lines[0]["flow"] < 2.5
    assert not any(name.startswith("refiner") for name in weights(paths.tokenizer))


@catches(SUBJECT, "= batch.images, terms.one_step(draws, out)", "= terms.one_step(draws, out), batch.images")
def test_trackers_see_training_images_beside_their_reconstructions(tiny_run, monkeypatch):
    _, paths = tiny_run
    shown = pictures_shown(monkeypatch)
    config = tiny(
        "train.steps=2", "train.track=[tensorboard]", "losses.perceptual_weight=0", "losses.alignment_weight=0"
    )
    stage.train_tokenizer(config, paths, resume=False)
    ((step, pairs),) = shown
    assert (step, pairs.shape) == (2, (8, 16, 32, 1))
    assert_training_images_beside_others(pairs, config)


def test_micro_batches_add_up_to_the_whole_batch(tiny_run, monkeypatch):
    """Without the entropy of the batch, which knows no parts."""
    _, paths = tiny_run
    seen, logs = gradients_of_every_step(monkeypatch), []
    for accumulation in (1, 4):
        changes = ("losses.entropy_weight=0", "train.steps=1", f"train.accumulation={accumulation}")
        stage.train_tokenizer(tiny(*changes), paths, resume=False)
        logs.append(read_metrics(paths.metrics)[-1])
    whole, parts = seen
    assert_gradients_agree(whole, parts)
    one, four = logs
    for name in ("flow", "perceptual", "alignment"):
        assert four[name] == pytest.approx(one[name], rel=1e-4)


def test_random_crops_reach_both_stages(trained_run):
    _, paths = trained_run
    firsts = []
    for crop in (False, True):
        changes = ("alignment.cache=false", "train.steps=1", "train_refiner.steps=1", f"data.random_crop={crop}")
        stage.train_tokenizer(tiny(*changes), paths, resume=False)
        firsts.append(read_metrics(paths.metrics)[-1]["flow"])
        train_second_stage(tiny(*changes), paths, resume=False)
        firsts.append(read_metrics(paths.metrics)[-1]["reconstruction"])
    assert firsts[0] != firsts[2]
    assert firsts[1] != firsts[3]


def test_the_saved_weights_are_the_average(tiny_run, monkeypatch):
    """With decay 1/2 over the weights after each step, the first of which starts the average."""
    _, paths = tiny_run
    after = []
    advance = torch.optim.Adam.step

    def watched(self, *given, **named):
        result = advance(self, *given, **named)
        after.append([p.detach().clone() for group in self.param_groups for p in group["params"]])
        return result

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    stage.train_tokenizer(tiny("train.ema_decay=0.5", "train.steps=3", "train.learning_rate=0.01"), paths, resume=False)
    assert len(after) == 3
    expected = [0.5 * (0.5 * a + 0.5 * b) + 0.5 * c for a, b, c in zip(*after, strict=True)]
    names = [name for name, _ in stage.SemTok(tiny().tokenizer).named_parameters()]
    saved = weights(paths.tokenizer)
    for name, value in zip(names, expected, strict=False):
        torch.testing.assert_close(saved[name], value, msg=lambda text, name=name: f"{name}: {text}")
    assert any((saved[name] - value).abs().max() > 1e-4 for name, value in zip(names, after[-1], strict=False))


def test_half_precision_trains_and_keeps_float32_weights(tiny_run, monkeypatch):
    with_bfloat16(monkeypatch)
    _, paths = tiny_run
    stage.train_tokenizer(tiny("train.mixed_precision=bf16", "train.steps=3"), paths, resume=False)
    assert all(math.isfinite(line[name]) for line in read_metrics(paths.metrics) for name in ("flow", "alignment"))
    assert all(value.dtype == torch.float32 for value in weights(paths.tokenizer).values())


def test_entropy_of_bits_and_codes_as_queries_train(tiny_run):
    _, paths = tiny_run
    changes = ("losses.entropy_of=bits", "alignment.queries=codes", "alignment.cache=false", "train.steps=2")
    stage.train_tokenizer(tiny(*changes), paths, resume=False)
    assert len(read_metrics(paths.metrics)) == 2


def test_a_nan_stops_the_run_and_names_the_term(tiny_run, monkeypatch):
    options, paths = tiny_run
    monkeypatch.setattr(PerceptualTerm, "forward", lambda self, a, b: a.sum() * math.nan)
    with pytest.raises(NonFiniteLossError, match="step 0: loss term perceptual is nan"):
        COMMANDS["train-tokenizer"](options)
    assert load_file(paths.folder / "nonfinite-step-0.safetensors")["images"].shape == (8, 1, 16, 16)


def test_starting_over_on_checkpoints_needs_resume(tiny_run):
    options, _ = tiny_run
    options = replace(options, set=("train.steps=2",))
    COMMANDS["train-tokenizer"](options)
    with pytest.raises(ConfigError, match="holds checkpoints; --resume continues"):
        COMMANDS["train-tokenizer"](options)


@pytest.mark.parametrize("sharding", ["none", pytest.param("full", marks=pytest.mark.slow)])
@pytest.mark.parametrize("command", ["train-tokenizer", "train-refiner"])
def test_two_processes_with_half_the_batch_follow_one_with_the_whole(command, sharding, request, tmp_path):
    """The same terms at every step, the same weights at the end, to float32 rounding; the discriminator included."""
    options, paths = request.getfixturevalue("tiny_run" if command == "train-tokenizer" else "trained_run")
    changes = {
        "train-tokenizer": ("train.learning_rate=1e-4", "train.steps=3"),
        "train-refiner": ("train_refiner.learning_rate=1e-4", "train_refiner.steps=3", "refiner.discriminator_start=1"),
    }[command]
    one = replace(options, set=changes)
    section = command.removeprefix("train-").replace("refiner", "_refiner").replace("tokenizer", "")
    two = replace(one, runs=tmp_path / "two", set=(*changes, f"train{section}.sharding={sharding}"))
    shutil.copytree(paths.folder, two.runs / "tiny")
    COMMANDS[command](one)
    line = documented_line("semtok", "train-tokenizer").replace("train-tokenizer", command)
    settings = [word for value in two.set for word in ("--set", value)]
    done = run_forked_line(line, "--config", two.config, "--runs", two.runs, *settings)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("training in 2 processes on ") == 1
    name = command.removeprefix("train-")
    kept = {"tokenizer": "tokenizer", "refiner": "refined"}[name] + "/model.safetensors"
    assert_same_training(paths.folder, two.runs / "tiny", name, kept, steps=3)


@pytest.mark.slow
def test_unused_codes_come_back_with_all_weights_shared_as_on_one_process(tiny_run, tmp_path):
    options, paths = tiny_run
    vector = "tokenizer.quantizer={kind: vector, codebook_size: 99, dim: 5}"
    groups = ("generators.masked.num_groups=1", "generators.far.num_groups=1")
    settings = ("train.learning_rate=1e-4", "train.steps=3", "train.revive_every=1", "train.codebook_start=random")
    one = replace(options, set=(vector, *groups, *settings))
    two = replace(one, runs=tmp_path / "two", set=(*one.set, "train.sharding=full"))
    COMMANDS["train-tokenizer"](one)
    words = [word for value in two.set for word in ("--set", value)]
    line = documented_line("semtok", "train-tokenizer")
    done = run_forked_line(line, "--config", two.config, "--runs", two.runs, *words)
    assert done.returncode == 0, done.stderr[-3000:]
    log = read_metrics(two.runs / "tiny" / "metrics.jsonl")
    assert sum(entry.get("revived", 0) for entry in log) > 0
    assert_same_training(paths.folder, two.runs / "tiny", "tokenizer", "tokenizer/model.safetensors", steps=3)
