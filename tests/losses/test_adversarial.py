"""The adversarial game, side by side with the papers' formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import close
from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import DiscriminatorLoss, GeneratorLoss, discriminator_loss, generator_loss

SUBJECT = "vistok.losses.adversarial"
KINDS = ("hinge", "non_saturating", "vanilla")


@catches(SUBJECT, "0.5 * (F.relu", "1.0 * (F.relu")
@catches(SUBJECT, "0.5 * (F.softplus", "1.0 * (F.softplus")
def test_the_discriminators_values_are_those_of_the_papers():
    real, fake = normal(0, 4, 5), normal(1, 7)
    r, f = real.double(), fake.double()
    hinge = ((1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean()) / 2
    entropy = -((1 / (1 + (-r).exp())).log().mean() + (1 - 1 / (1 + (-f).exp())).log().mean()) / 2
    for kind, wanted in (("hinge", hinge), ("non_saturating", entropy), ("vanilla", entropy)):
        assert abs(discriminator_loss(real, fake, kind=kind).item() - wanted.item()) < 1e-6
        assert DiscriminatorLoss(kind)(real, fake) == discriminator_loss(real, fake, kind=kind)


@catches(SUBJECT, "F.relu(1.0 - real)", "F.relu(2.0 - real)")
def test_the_discriminator_by_hand():
    """Logits of 0 cost 1, or log 2; a sure hinge costs nothing."""
    zero = torch.zeros(3)
    assert discriminator_loss(zero, zero).item() == 1.0
    assert abs(discriminator_loss(zero, zero, kind="vanilla").item() - math.log(2)) < 1e-6
    assert discriminator_loss(torch.ones(3), -torch.ones(3)).item() == 0.0


@catches(SUBJECT, "return F.softplus(-fake).mean()", "return -fake.mean()")
@catches(SUBJECT, "return -F.softplus(fake).mean()", "return F.softplus(fake).mean()")
def test_the_generators_values_are_those_of_the_papers():
    fake = normal(1, 7)
    f = fake.double()
    sigmoid = 1 / (1 + (-f).exp())
    cases = {"hinge": -f.mean(), "non_saturating": -sigmoid.log().mean(), "vanilla": (1 - sigmoid).log().mean()}
    for kind, wanted in cases.items():
        assert abs(generator_loss(fake, kind=kind).item() - wanted.item()) < 1e-6
        assert GeneratorLoss(kind)(fake) == generator_loss(fake, kind=kind)


@catches(
    SUBJECT,
    "F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()",
    "F.relu(1.0 - fake).mean() + F.relu(1.0 + real).mean()",
)
@catches(
    SUBJECT,
    "0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())",
    "0.5 * (F.softplus(real).mean() + F.softplus(-fake).mean())",
)
def test_each_side_pulls_the_logits_its_own_way():
    for kind in KINDS:
        real, fake = torch.linspace(-3, 3, 13).requires_grad_(), torch.linspace(-3, 3, 13).requires_grad_()
        discriminator_loss(real, fake, kind=kind).backward()
        assert (real.grad <= 0).all()
        assert (fake.grad >= 0).all()
        assert real.grad[0] < 0 < fake.grad[-1]
        fake.grad = None
        generator_loss(fake, kind=kind).backward()
        assert (fake.grad < 0).all()
    huge = torch.tensor([-1e4, 1e4], requires_grad=True)
    discriminator_loss(huge, huge, kind="vanilla").backward()
    assert torch.isfinite(huge.grad).all()
    assert generator_loss(torch.tensor([50.0, 1e4]), kind="non_saturating") >= 0


@catches(SUBJECT, "return -fake.mean()", "return -fake.sum()")
def test_gradients_are_those_of_the_docstrings():
    for kind in KINDS:
        real, fake = normal(0, 4).requires_grad_(), normal(1, 5).requires_grad_()
        r, f = real.detach(), fake.detach()
        discriminator_loss(real, fake, kind=kind).backward()
        assert close(real.grad, (-(r < 1).float() if kind == "hinge" else -torch.sigmoid(-r)) / 8)
        assert close(fake.grad, ((f > -1).float() if kind == "hinge" else torch.sigmoid(f)) / 10)
        fake.grad = None
        generator_loss(fake, kind=kind).backward()
        slope = {"hinge": torch.ones(5), "non_saturating": torch.sigmoid(-f), "vanilla": torch.sigmoid(f)}[kind]
        assert close(fake.grad, -slope / 5)


@given(tensors((5,), limit=100), st.sampled_from(KINDS))
def test_each_game_keeps_its_range(logits, kind):
    assert discriminator_loss(logits, logits, kind=kind) >= 0
    if kind == "non_saturating":
        assert generator_loss(logits, kind=kind) >= 0
    if kind == "vanilla":
        assert generator_loss(logits, kind=kind) <= 0


@pytest.mark.parametrize("loss", [DiscriminatorLoss, GeneratorLoss])
def test_an_unknown_kind_is_named(loss):
    with pytest.raises(ValueError, match="kind"):
        loss("wgan")
