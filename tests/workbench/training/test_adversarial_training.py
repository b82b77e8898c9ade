"""The discriminator's step: a pass for each side, exact accumulation, nothing but the discriminator moves."""

import copy
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from _support.mutants import catches
from vistok.workbench.training import precision
from vistok.workbench.training.adversarial_training import discriminator_step, frozen
from vistok.workbench.training.finite import FiniteLosses, NonFiniteLossError
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.update import Learner

SUBJECT = "vistok.workbench.training.adversarial_training"


def images(seed):
    return torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1


REALS, FAKES = images(0), images(1)


def make():
    torch.manual_seed(2)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.GELU(), torch.nn.Conv2d(4, 1, 1))


def hinge(real, fake):
    return 0.5 * ((1 - real).relu().mean() + (1 + fake).relu().mean())


def learner(network, optimizer, losses=None, **settings):
    settings = TrainConfig(steps=1, batch_size=8, **settings)
    return Learner(network, optimizer, Accelerator(cpu=True), settings, losses or FiniteLosses(Path()))


def step(network, parts=1, loss=hinge, fakes=FAKES, losses=None, **settings):
    discriminator = learner(network, torch.optim.SGD(network.parameters(), lr=0.1), losses, **settings)
    return discriminator_step(discriminator, REALS.chunk(parts), fakes.chunk(parts), loss, 7)


def test_it_is_one_step_of_gradient_descent_on_the_loss():
    ours, theirs = make(), make()
    value = step(ours)
    expected = hinge(theirs(REALS), theirs(FAKES))
    expected.backward()
    torch.testing.assert_close(value, expected.detach())
    assert not value.requires_grad
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b.detach() - 0.1 * b.grad)


@catches(SUBJECT, "loss(real_logits.float(), fake_logits.float())", "loss(fake_logits.float(), real_logits.float())")
def test_real_logits_come_first():
    seen = []

    def loss(real, fake):
        seen.append((real, fake))
        return hinge(real, fake)

    network = make()
    before = copy.deepcopy(network)
    step(network, loss=loss)
    torch.testing.assert_close(seen[0][0], before(REALS))
    torch.testing.assert_close(seen[0][1], before(FAKES))


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_micro_batches_equal_the_whole_batch(parts):
    whole, divided = make(), make()
    torch.testing.assert_close(step(whole), step(divided, parts))
    for a, b in zip(whole.parameters(), divided.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_of_before_do_not_count():
    clean, dirty = make(), make()
    dirty(REALS).sum().backward()
    step(clean)
    step(dirty)
    assert all(torch.equal(a, b) for a, b in zip(clean.parameters(), dirty.parameters(), strict=True))


@catches(SUBJECT, "loss(real_logits.float(), fake_logits.float())", "loss(real_logits, fake_logits)")
def test_in_bf16_the_loss_still_sees_float32(monkeypatch):
    monkeypatch.setattr(precision, "computes_in_bfloat16", lambda device: True)
    dtypes = []

    def loss(real, fake):
        dtypes.append((real.dtype, fake.dtype))
        return hinge(real, fake)

    network = make()
    torch.testing.assert_close(step(network, loss=loss, mixed_precision="bf16"), step(make()), rtol=0.02, atol=0.02)
    assert dtypes == [(torch.float32, torch.float32)]


@catches(SUBJECT, '{"images": real, "reconstruction": fake}', '{"images": fake, "reconstruction": real}')
def test_a_loss_that_is_not_finite_is_told_with_both_images(tmp_path):
    losses = FiniteLosses(tmp_path)
    step(make(), losses=losses, fakes=FAKES * float("nan"))
    with pytest.raises(NonFiniteLossError, match="step 7: loss term discriminator is nan"):
        losses.settle()
    kept = load_file(tmp_path / "nonfinite-step-7.safetensors")
    assert torch.equal(kept["images"], REALS)
    assert kept["reconstruction"].isnan().all()


@catches(SUBJECT, "strict=True", "strict=False")
def test_as_many_fakes_as_reals_are_asked_for():
    with pytest.raises(ValueError, match="zip"):
        discriminator_step(learner(make(), torch.optim.SGD(make().parameters())), [REALS], [FAKES, FAKES], hinge, 0)


def test_a_batch_norm_sees_the_fakes_as_it_does_when_the_generator_is_judged():
    """After some steps, too, in which it has learned whatever the statistics of a mixed pass would give away."""
    torch.manual_seed(2)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 1)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    fakes = [FAKES * 0.5 + 0.3]
    seen = []

    def loss(real, fake):
        seen.append(fake.detach())
        return hinge(real, fake)

    for number in range(20):
        with torch.no_grad():
            judged = network(fakes[0])
        discriminator_step(learner(network, optimizer, clip_norm=1.0), [REALS], fakes, loss, number)
        torch.testing.assert_close(seen[-1], judged)


def test_the_gradients_are_clipped_to_the_norm():
    clipped, free = make(), make()
    before = torch.cat([p.detach().flatten() for p in make().parameters()])
    step(clipped, clip_norm=1e-3)
    step(free)
    moved = [torch.cat([p.detach().flatten() for p in network.parameters()]) - before for network in (clipped, free)]
    assert moved[0].norm().item() == pytest.approx(0.1 * 1e-3, rel=1e-3)
    torch.testing.assert_close(moved[0] / moved[0].norm(), moved[1] / moved[1].norm(), rtol=1e-3, atol=1e-4)


@catches(SUBJECT, "weight.requires_grad_(True)", "weight.requires_grad_(False)")
@catches(SUBJECT, "weight.requires_grad_(False)", "weight.requires_grad_(True)")
def test_a_frozen_network_passes_gradients_on_and_takes_none():
    network, inputs = make(), REALS.clone().requires_grad_()
    with frozen(network):
        network(inputs).sum().backward()
    assert inputs.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters())
    network(REALS).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    with frozen(None):
        pass


@catches(SUBJECT, "network.parameters() if weight.requires_grad]", "network.parameters()]")
def test_what_never_learns_does_not_learn_after_it_was_frozen():
    network = make()
    network[0].requires_grad_(False)
    with frozen(network):
        assert not any(p.requires_grad for p in network.parameters())
    assert [p.requires_grad for p in network.parameters()] == [False, False, True, True]
