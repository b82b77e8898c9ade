"""Stage II of few steps: through the sampler, and by mean flow; both from stage I, in training and afterwards."""

import shutil

import pytest
import torch
from safetensors.torch import load_file

import semtok.train_refiner as stage
from _support.mutants import catches
from _support.semtok_runs import (
    assert_gradients_agree,
    generator,
    gradients_of_every_step,
    pictures,
    tiny,
    tiny_tokenizer,
)
from semtok import networks as checks
from semtok import refiner as networks
from semtok.config import SamplerConfig
from semtok.cost import refiner_training
from semtok.mean_flow import MeanFlow
from semtok.model import SemTok
from semtok.refiner import Refiner
from semtok.times import Interval
from vistok.workbench.config import ConfigError
from vistok.workbench.cost.trainings import DryRun
from vistok.workbench.run.checkpoint import load_latest_checkpoint
from vistok.workbench.run.tracking import read_metrics

SUBJECT = "semtok.mean_flow"
NOISE = torch.randn(3, 1, 16, 16, generator=generator(1))
CODES = torch.randn(3, 4, 6, generator=generator(3)).sign() / 6**0.5
HIDDEN = torch.zeros(3, 4, dtype=torch.bool)


def refiner(kind, steps=1, prediction="velocity"):
    return Refiner(tiny_tokenizer(prediction=prediction).decoder, kind, 1, 16, prediction, num_steps=steps).eval()


@catches("semtok.refiner", "uniform_times(self.num_steps)", "uniform_times(1)")
@catches("semtok.refiner", "for time in (r, t))", "for time in (t, r))")
def test_both_begin_as_stage_ones_sampler_on_an_even_grid():
    sampler = SamplerConfig(num_steps=3, power=1, guidance=1)
    for prediction in ("velocity", "image"):
        with torch.no_grad():
            expected = tiny_tokenizer(prediction=prediction).solve(CODES, NOISE, sampler)
            for kind in ("sampler", "mean_flow"):
                made = refiner(kind, 3, prediction)(NOISE, CODES)
                torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-4)


@catches("semtok.refiner", "use_reentrant=False)", "use_reentrant=False).detach() + 0 * x")
def test_the_gradient_through_the_steps_is_that_without_computing_them_again(monkeypatch):
    kept, plain = refiner("sampler", 3), refiner("sampler", 3)
    kept(NOISE, CODES).square().mean().backward()
    monkeypatch.setattr(networks, "checkpoint", lambda call, *given, use_reentrant: call(*given))
    plain(NOISE, CODES).square().mean().backward()
    assert_gradients_agree([p.grad for p in plain.parameters()], [p.grad for p in kept.parameters()])


@catches(SUBJECT, "earlier, later)\n", "later, earlier)\n")
@catches(SUBJECT, "path.x_t, times.r, times.t", "path.x_t, times.t, times.r")
@catches(SUBJECT, "velocity_to_data(found.value, path.x_t, later)", "velocity_to_data(found.value, path.x_t, earlier)")
def test_the_target_is_the_velocity_less_the_change_of_the_average_along_the_path():
    """By a difference of the network along the path; where both times are one it is the velocity."""
    network, x = refiner("mean_flow"), pictures()
    torch.nn.init.normal_(network.network.span.out.weight, std=0.2)
    times = Interval(torch.tensor([0.2, 0.5, 0.1]), torch.tensor([0.6, 0.5, 0.9]))
    out = MeanFlow(network)(x, NOISE, times, CODES, HIDDEN)
    r, t = (part[:, None, None, None] for part in times)
    x_t, velocity, step = (1 - t) * x + t * NOISE, NOISE - x, 2e-4
    say = lambda way: network.average_velocity(x_t + way * velocity, times.r, times.t + way, CODES, HIDDEN)  # noqa: E731
    with torch.no_grad():
        change = (say(step) - say(-step)) / (2 * step)
        torch.testing.assert_close(out.predicted, say(0.0), rtol=1e-4, atol=1e-5)
        expected = velocity - (t - r) * change
        assert (out.target - expected).abs().mean() < 0.02 * (expected - velocity).abs().mean()
    torch.testing.assert_close(out.target[1], velocity[1])
    torch.testing.assert_close(out.estimate, x_t - t * out.predicted)
    assert out.predicted.requires_grad
    assert not out.target.requires_grad


@catches("semtok.refiner", "t, hidden, t - r)", "t, hidden, t)")
def test_the_network_is_told_how_long_each_step_is():
    network, spans = refiner("mean_flow", 4), []
    network.network.span.register_forward_hook(lambda _, inputs, __: spans.append(inputs[0].tolist()))
    with torch.no_grad():
        network(NOISE, CODES)
    assert spans == [[0.25] * 3] * 4


@pytest.mark.parametrize(("objective", "steps"), [("sampler", 2), ("mean_flow", 1)])
def test_each_trains_is_saved_and_decodes_as_it_was_trained(trained_run, objective, steps):
    _, paths = trained_run
    config = tiny(f"refiner.objective={objective}", f"refiner.num_steps={steps}", "train_refiner.steps=2")
    stage.train_refiner(config, paths, resume=False)
    log = [line for line in read_metrics(paths.metrics) if line["stage"] == "refiner"]
    assert ("mean_flow" in log[-1], "reconstruction" in log[-1]) == (objective == "mean_flow", objective == "sampler")
    before, after = (load_file(folder / "model.safetensors") for folder in (paths.tokenizer, paths.refined))
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not torch.equal(after["refiner.network.out.weight"], after["decoder.out.weight"])
    loaded = SemTok.from_pretrained(paths.refined).eval()
    assert (loaded.refiner.kind, loaded.refiner.num_steps) == (objective, steps)
    tokens = loaded.encode(pictures())
    assert not torch.equal(loaded.decode(tokens, generator=generator()), loaded.sample(tokens, generator=generator()))


@pytest.mark.slow
def test_micro_batches_add_up_to_the_whole_batch(trained_run, monkeypatch):
    _, paths = trained_run
    seen = gradients_of_every_step(monkeypatch)
    for accumulation in (1, 4):
        changes = ("train_refiner.steps=1", f"train_refiner.accumulation={accumulation}")
        stage.train_refiner(tiny("refiner.objective=mean_flow", *changes), paths, resume=False)
    assert_gradients_agree(*seen)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sampler", "mean_flow"])
def test_interrupted_and_resumed_is_the_same_to_the_bit(trained_run, objective):
    _, paths = trained_run
    changes = ("refiner.num_steps=2", "train_refiner.ema_decay=0.75", "train_refiner.steps=4")
    config = tiny(f"refiner.objective={objective}", *changes)
    stage.train_refiner(config, paths, resume=False)
    whole = (paths.refined / "model.safetensors").read_bytes()
    shutil.rmtree(paths.refined)
    (paths.refiner_checkpoints / "step-000000004.pt").unlink()
    stage.train_refiner(config, paths, resume=True)
    assert (paths.refined / "model.safetensors").read_bytes() == whole


def test_a_forward_derivative_takes_plain_networks():
    for switch, plain in (
        ("compile=true", "false"),
        ("checkpoint_activations=true", "false"),
        ("sharding=full", "none"),
    ):
        name, given = switch.split("=")
        expected = f"train_refiner.{name}: expected {plain} with refiner.objective mean_flow, got {given}$"
        with pytest.raises(ConfigError, match=expected):
            tiny("refiner.objective=mean_flow", f"train_refiner.{switch}")


def test_what_an_objective_would_not_heed_is_refused():
    for objective in ("sampler", "mean_flow"):
        with pytest.raises(
            ConfigError, match=f"refiner: input: expected noise with objective {objective}, .*got sample$"
        ):
            tiny(f"refiner.objective={objective}", "refiner.input=sample")
    with pytest.raises(ConfigError, match=r"refiner: nested_weight: expected 0 with objective mean_flow, got 0\.5$"):
        tiny("refiner.objective=mean_flow", "refiner.nested_weight=0.5")
    assert tiny("refiner.objective=sampler", "refiner.nested_weight=0.5").refiner.nested_weight == 0.5


@catches("semtok.networks", "    if judged:\n", "    if True:\n")
@catches("semtok.networks", "if used and losses", "if losses")
@catches("semtok.train_refiner", "if losses.compares_images else None", "if True else None")
def test_mean_flow_builds_no_network_that_compares_images(trained_run, monkeypatch):
    """Neither to train nor before: whoever has no weights of them needs none."""
    _, paths = trained_run
    for owner, name in ((stage, "Critics"), (checks, "build_discriminator")):
        monkeypatch.setattr(owner, name, None)
    monkeypatch.setattr(checks, "check_perceptual", lambda section, *_: sections.append(section))
    sections = []
    config = tiny("refiner.objective=mean_flow", "train_refiner.steps=1")
    checks.check_networks.__wrapped__(config)
    assert sections == ["losses"]
    stage.train_refiner(config, paths, resume=False)
    _, state = load_latest_checkpoint(paths.refiner_checkpoints)
    assert not {"discriminator", "d_optimizer"} & set(state)


def test_mean_flow_is_counted_without_a_discriminator():
    training = refiner_training(tiny("refiner.objective=mean_flow"), DryRun(torch.device("cpu"), pretend=False))
    assert (list(training.learners), list(training.frozen)) == (["refiner"], ["encoder", "decoder"])
    assert training.starts == (0,)
    before = training.learners["refiner"].model.refiner.network.out.weight.clone()
    training.step(4, 0)
    assert not torch.equal(training.learners["refiner"].model.refiner.network.out.weight, before)
    assert refiner_training(tiny("refiner.objective=mean_flow"), DryRun()).count(4, 0).flops > 0


def test_more_than_one_step_is_of_the_objectives_that_take_steps():
    with pytest.raises(ConfigError, match="num_steps: expected 1 with objective reconstruction, got 4"):
        tiny("refiner.num_steps=4")
    assert tiny("refiner.num_steps=4", "refiner.objective=sampler").refiner.kind == "sampler"
