"""A training as it is counted: what it holds, and that the step is the training's own."""

import pytest
import torch
from torch import nn

from _support.mutants import catches
from vistok.workbench.cost.trainings import DryRun
from vistok.workbench.training.generator_training import GeneratorTrainConfig

SUBJECT = "vistok.workbench.cost.trainings"


class Toy(nn.Module):
    """A generator of one matrix."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(64, 64, bias=False)

    def loss(self, inputs, labels, generator=None):
        return self.inner(inputs).float().square().mean() + 0 * labels.sum()


def toy(dry_run=None, **settings):
    dry_run = dry_run or DryRun()
    given = GeneratorTrainConfig(**{"steps": 10, "batch_size": 64, "ema_decay": 0.5} | settings)
    return dry_run.generator("toy", Toy, given, lambda size: torch.zeros(size, 64, device=dry_run.device))


@catches(SUBJECT, "self._tensors(*self.networks.values(), *self.frozen.values(), self.average)", "self._tensors()")
@catches(SUBJECT, "*self.states()]", "]")
@catches(SUBJECT, 'else ("exp_avg", "exp_avg_sq")', 'else ("exp_avg",)')
def test_weights_their_average_and_both_moments_are_held():
    training = toy()
    training.count(4, 0)
    sizes = sorted(tensor.numel() for tensor in training.held() if tensor.ndim == 2)
    assert sizes == [64 * 64] * 4
    assert all(tensor.device.type == "meta" for tensor in training.held() if tensor.ndim == 2)


@catches(SUBJECT, "if not self.states():", "if self.states():")
def test_each_count_is_of_a_step_with_the_states_there():
    training = toy()
    first, second = training.count(1024, 0), training.count(1024, 0)
    assert first == second
    assert first.peak >= 4 * (4 * 64 * 64 + 3 * 1024 * 64)  # weights, average, moments; input, output and its gradient


@catches(SUBJECT, "return self.cuda.bfloat16()", "return contextlib.nullcontext()")
def test_mixed_precision_is_the_settings():
    wide, narrow = toy().count(4, 0), toy(mixed_precision="bf16").count(4, 0)
    assert wide.flops == narrow.flops == wide.flops_float32 == 2 * 2 * 4 * 64 * 64
    assert narrow.flops_float32 == 0


@catches(SUBJECT, "self._optimizer(model, settings, settings.weight_decay)", "self._optimizer(model, settings)")
def test_a_training_with_values_learns_as_it_is_told():
    torch.manual_seed(0)
    training = toy(DryRun(torch.device("cpu"), pretend=False), weight_decay=0.5)
    before = training.networks["generator"].generator.inner.weight.detach().clone()
    training.step(4, 0)
    after = training.networks["generator"].generator.inner.weight.detach()
    torch.testing.assert_close(after, before * (1 - 0.5 * 1e-3))  # inputs of zero leave the decay alone


@pytest.mark.parametrize("pretend", [False, True])
def test_flops_on_the_meta_device_are_those_with_values(pretend):
    real = toy(DryRun(torch.device("cpu"), pretend=pretend)).count(1024, 0)
    assert real.flops == toy().count(1024, 0).flops
    assert real.peak == pytest.approx(toy().count(1024, 0).peak, rel=1e-3)  # a scalar on the CPU is none on a card
