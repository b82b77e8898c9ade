"""Training a generator: what it draws, what it averages, what it leaves behind, whatever the model is."""

import json

import pytest
import torch
from pydantic import Field
from safetensors.torch import load_file

from _support.mutants import catches
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.tracking import read_metrics
from vistok.workbench.training.finite import NonFiniteLossError
from vistok.workbench.training.generator_training import (
    Examples,
    GeneratorConfig,
    GeneratorTrainConfig,
    generator_record,
    train_generator,
)

SUBJECT = "vistok.workbench.training.generator_training"

DATA = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(10)


class Guess(torch.nn.Module):
    """Guesses a vector of each item, under noise; remembers what it was asked."""

    def __init__(self):
        super().__init__()
        self.centre = torch.nn.Linear(1, 3)
        self.asked = []

    def loss(self, inputs, labels, *, generator):
        noise = torch.rand(inputs.shape, generator=generator)
        self.asked.append((labels.tolist(), noise))
        return (self.centre.weight[:, 0] + self.centre.bias + 0.1 * noise - inputs).square().mean()


def settings(**changes):
    values = {"steps": 4, "batch_size": 6, "learning_rate": 0.1, "checkpoint_every": 2, "log_every": 1}
    return GeneratorTrainConfig(**{**values, **changes})


def pick(indices, draws):
    return DATA[indices], LABELS[indices]


def train(folder, batch=pick, *, kind=Guess, resume=False, seed=3, **changes):
    torch.manual_seed(0)
    model = kind()
    train_generator(
        model,
        Examples(len(DATA), batch),
        settings(**changes),
        RunPaths(folder),
        stage="guess",
        seed=seed,
        resume=resume,
        record={"num_classes": 10},
    )
    return model, RunPaths(folder)


def test_it_leaves_weights_a_record_checkpoints_and_a_curve(tmp_path):
    model, paths = train(tmp_path)
    assert load_file(paths.generator("guess")).keys() == model.state_dict().keys()
    assert json.loads(paths.generator("guess").with_suffix(".json").read_text()) == {"num_classes": 10, "parameters": 6}
    assert generator_record(paths, "guess")["num_classes"] == 10
    assert [p.name for p in sorted(paths.checkpoints("guess").iterdir())] == [
        "step-000000002.pt",
        "step-000000004.pt",
    ]
    lines = read_metrics(paths.metrics)
    assert [(line["stage"], line["step"]) for line in lines] == [("guess", step) for step in (1, 2, 3, 4)]
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_every_item_comes_once_an_epoch_with_its_own_label(tmp_path):
    model, _ = train(tmp_path, steps=5)
    labels = [label for step, _ in model.asked for label in step]
    assert [sorted(labels[start : start + 10]) for start in (0, 10, 20)] == [list(range(10))] * 3


@catches(SUBJECT, "examples.batch(indices, draws))", "examples.batch(indices, seed_step(seed, step.index)))")
def test_the_batch_draws_before_the_loss_from_the_same_generator(tmp_path):
    def with_draws(indices, draws):
        torch.rand(5, generator=draws)
        return pick(indices, draws)

    plain, drawn = train(tmp_path / "a")[0], train(tmp_path / "b", with_draws)[0]
    ours, theirs = plain.asked[0][1].flatten(), drawn.asked[0][1].flatten()
    assert not torch.equal(ours, theirs)
    torch.testing.assert_close(ours[5:], theirs[:-5])


def test_accumulated_micro_batches_equal_the_whole_batch(tmp_path):
    class Quiet(Guess):
        def loss(self, inputs, labels, *, generator):
            return (self.centre.weight[:, 0] + self.centre.bias - inputs).square().mean()

    weights = []
    for accumulation in (1, 3):
        model, _ = train(tmp_path / str(accumulation), kind=Quiet, accumulation=accumulation)
        weights.append(model.centre.weight.detach())
    torch.testing.assert_close(*weights)


@catches(SUBJECT, "bare if average is None else average.module", "bare")
def test_the_average_is_written_where_it_is_asked_for(tmp_path):
    """By hand: the first update copies, each later one moves by 1 - decay."""
    trajectory = []

    class Traced(Guess):
        def loss(self, inputs, labels, *, generator):
            trajectory.append(self.centre.weight.detach().clone())
            return super().loss(inputs, labels, generator=generator)

    model, paths = train(tmp_path, kind=Traced, ema_decay=0.75)
    after = [*trajectory[1:], model.centre.weight.detach()]
    average = after[0]
    for weights in after[1:]:
        average = 0.75 * average + 0.25 * weights
    torch.testing.assert_close(load_file(paths.generator("guess"))["centre.weight"], average)


def test_without_an_average_the_last_weights_are_written(tmp_path):
    model, paths = train(tmp_path)
    assert torch.equal(load_file(paths.generator("guess"))["centre.weight"], model.centre.weight)


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_broken_off_and_resumed_equals_uninterrupted_to_the_bit(tmp_path, ema_decay):
    _, whole = train(tmp_path / "whole", ema_decay=ema_decay)

    def fail(indices, draws, calls=[]):  # noqa: B006 - counts over all calls
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("power cut")
        return pick(indices, draws)

    with pytest.raises(RuntimeError, match="power cut"):
        train(tmp_path / "cut", fail, ema_decay=ema_decay)
    _, cut = train(tmp_path / "cut", resume=True, ema_decay=ema_decay)
    assert cut.generator("guess").read_bytes() == whole.generator("guess").read_bytes()
    assert cut.metrics.read_text() == whole.metrics.read_text()


def test_another_seed_gives_another_curve(tmp_path):
    first, second = (train(tmp_path / str(seed), seed=seed)[1].metrics.read_text() for seed in (3, 4))
    assert first != second


def test_clipping_bounds_the_gradient(tmp_path):
    """Under plain Adam a scale of the gradient changes nothing, so the gradient itself is looked at."""
    norms = []

    class Steep(Guess):
        def loss(self, inputs, labels, *, generator):
            return 1e3 * super().loss(inputs, labels, generator=generator)

    original = torch.optim.AdamW.step

    def step(self, *args, **kwargs):
        parameters = [p for group in self.param_groups for p in group["params"]]
        norms.append(sum(p.grad.square().sum() for p in parameters).sqrt().item())
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step)
        train(tmp_path, kind=Steep, clip_norm=0.5)
    assert norms == pytest.approx([0.5] * 4, rel=1e-3)


def test_a_loss_that_is_not_finite_names_the_generator_and_keeps_the_indices(tmp_path):
    def broken(indices, draws):
        return DATA[indices] * float("nan"), LABELS[indices]

    with pytest.raises(NonFiniteLossError, match="step 0: loss term guess is nan"):
        train(tmp_path, broken)
    assert load_file(tmp_path / "nonfinite-step-0.safetensors")["indices"].shape == (6,)


@catches(SUBJECT, 'if key not in ("samples", "attention")', 'if key != "attention"')
def test_a_training_depends_on_all_settings_but_sample_sets_and_kernels():
    class Kind(GeneratorConfig):
        samples: dict[str, int] = Field({})
        cell_size: int = 2

    keys = Kind.training_keys()
    assert {"width", "dropout", "train", "cell_size"} <= set(keys)
    assert set(Kind.model_fields) - set(keys) == {"samples", "attention"}
