"""Checks of the adversarial parts; each takes the package, so that a planted bug can be put under it."""

import math
from types import ModuleType

import pytest
import torch
from torch import nn

from _support.strategies import normal
from _support.term_checks import Stages


def discriminator_values_are_those_of_the_papers(losses: ModuleType) -> None:
    real, fake = normal(0, 4, 5), normal(1, 7)
    r, f = real.double(), fake.double()
    hinge = ((1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean()) / 2
    entropy = -((1 / (1 + (-r).exp())).log().mean() + (1 - 1 / (1 + (-f).exp())).log().mean()) / 2
    for kind, wanted in (("hinge", hinge), ("non_saturating", entropy), ("vanilla", entropy)):
        assert abs(losses.discriminator_loss(real, fake, kind=kind).item() - wanted.item()) < 1e-6
        assert losses.DiscriminatorLoss(kind)(real, fake) == losses.discriminator_loss(real, fake, kind=kind)
    zero = torch.zeros(3)
    assert losses.discriminator_loss(zero, zero).item() == 1.0
    assert abs(losses.discriminator_loss(zero, zero, kind="vanilla").item() - math.log(2)) < 1e-6
    assert losses.discriminator_loss(torch.ones(3), -torch.ones(3)).item() == 0.0


def generator_values_are_those_of_the_papers(losses: ModuleType) -> None:
    fake = normal(1, 7)
    f = fake.double()
    sigmoid = 1 / (1 + (-f).exp())
    cases = {"hinge": -f.mean(), "non_saturating": -sigmoid.log().mean(), "vanilla": (1 - sigmoid).log().mean()}
    for kind, wanted in cases.items():
        assert abs(losses.generator_loss(fake, kind=kind).item() - wanted.item()) < 1e-6
        assert losses.GeneratorLoss(kind)(fake) == losses.generator_loss(fake, kind=kind)


def each_side_pulls_the_logits_its_own_way(losses: ModuleType) -> None:
    for kind in ("hinge", "non_saturating", "vanilla"):
        real, fake = torch.linspace(-3, 3, 13).requires_grad_(), torch.linspace(-3, 3, 13).requires_grad_()
        losses.discriminator_loss(real, fake, kind=kind).backward()
        assert (real.grad <= 0).all()
        assert (fake.grad >= 0).all()
        assert real.grad[0] < 0 < fake.grad[-1]
        fake.grad = None
        losses.generator_loss(fake, kind=kind).backward()
        assert (fake.grad < 0).all()
    huge = torch.tensor([-1e4, 1e4], requires_grad=True)
    losses.discriminator_loss(huge, huge, kind="vanilla").backward()
    assert torch.isfinite(huge.grad).all()
    assert losses.generator_loss(torch.tensor([50.0, 1e4]), kind="non_saturating") >= 0


def adaptive_weight_is_the_ratio_of_gradients(losses: ModuleType) -> None:
    layer = normal(0, 3, 4).requires_grad_()
    reconstruction, generator = (layer * normal(1, 3, 4)).sum(), 0.1 * (layer**2).sum()
    weight = losses.adaptive_weight(reconstruction, generator, layer)
    wanted = normal(1, 3, 4).double().norm() / (0.2 * layer.detach().double().norm() + 1e-4)
    assert abs(weight.item() - wanted.item()) < 1e-4
    assert not weight.requires_grad
    (reconstruction + weight * generator).backward()
    assert losses.adaptive_weight((0 * layer).sum(), layer.sum(), layer).item() == 0.0
    assert losses.adaptive_weight(layer.sum(), (0 * layer).sum(), layer).item() == 1e4
    assert losses.adaptive_weight(layer.sum(), (0 * layer).sum(), layer, max_weight=7.0).item() == 7.0


def adaptive_weight_stops_at_a_non_finite_gradient(losses: ModuleType) -> None:
    layer = torch.ones(2, requires_grad=True)
    bad = (layer * float("inf")).sum()
    for terms, name in (((bad, layer.sum()), "reconstruction_loss"), ((layer.sum(), bad), "generator_loss")):
        with pytest.raises(FloatingPointError, match=name):
            losses.adaptive_weight(*terms, layer)
        assert losses.adaptive_weight(*terms, layer, on_non_finite="zero").item() == 0.0


def lecam_is_the_distance_from_the_other_mean(losses: ModuleType) -> None:
    real, fake = normal(0, 8), normal(1, 9)
    r, f = real.double(), fake.double()
    mean_r, mean_f = torch.tensor(0.3), torch.tensor(-0.2)
    wanted = (r + 0.2).square().mean() + (f - 0.3).square().mean()
    assert abs(losses.lecam_loss(real, fake, mean_r, mean_f) - wanted) < 1e-6
    wanted = (r + 0.2).clamp(min=0).square().mean() + (0.3 - f).clamp(min=0).square().mean()
    assert abs(losses.lecam_loss(real, fake, mean_r, mean_f, form="lecam_gan") - wanted) < 1e-6
    wanted = (r.mean() + 0.2).clamp(min=0).square() + (0.3 - f.mean()).clamp(min=0).square()
    assert abs(losses.lecam_loss(real, fake, mean_r, mean_f, form="maskbit") - wanted) < 1e-6


def lecam_means_run(losses: ModuleType) -> None:
    module = losses.LeCamLoss(decay=0.75)
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-1.0], requires_grad=True)
    first = module(real, fake)
    assert (module.real_mean.item(), module.fake_mean.item()) == (2.0, -1.0)
    assert first.item() == (2**2 + 4**2) / 2 + 3**2
    second = module(real + 4, fake + 4)
    assert (module.real_mean.item(), module.fake_mean.item()) == (3.0, 0.0)
    (first + second).backward()
    assert fake.grad.item() == 2 * (-1 - 2) + 2 * (3 - 3)
    module.eval()(real + 100, fake)
    assert module.real_mean.item() == 3.0


def lecam_of_maskbit_measures_with_the_means_before(losses: ModuleType) -> None:
    """By hand: means start at 0, the first call is (2 - 0)^2 + (0 + 1)^2; then they are half of the logits' means."""
    module = losses.LeCamLoss(decay=0.5, form="maskbit")
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-3.0, 1.0], requires_grad=True)
    first = module(real, fake)
    assert first.item() == 2**2 + 1**2
    assert (module.real_mean.item(), module.fake_mean.item()) == (1.0, -0.5)
    second = module(real, fake)
    assert second.item() == 2.5**2 + 2**2
    second.backward()
    assert fake.grad.tolist() == [-2.0, -2.0]
    module.eval()(real, fake)
    assert (module.real_mean.item(), module.fake_mean.item()) == (1.5, -0.75)


def r1_is_half_the_squared_slope(losses: ModuleType) -> None:
    network = nn.Conv2d(2, 3, 3).double()
    images = normal(0, 2, 2, 5, 5).double().requires_grad_()
    loss = losses.R1Penalty()(network(images), images)
    slopes = []
    for index in range(2):
        image = images.detach()[index : index + 1].requires_grad_()
        network(image).mean().backward()
        slopes.append(image.grad.square().sum())
    assert abs(loss - sum(slopes) / 4) < 1e-10
    assert torch.autograd.gradcheck(
        lambda w, x: losses.r1_penalty(torch.tanh(x * w).sum(1), x),
        (normal(1, 3).double().requires_grad_(), normal(2, 4, 3).double().requires_grad_()),
    )
    loss.backward()
    assert network.weight.grad.any()


def patchgan_has_the_published_layers(losses: ModuleType) -> None:
    model = losses.PatchGANDiscriminator(generator=torch.Generator().manual_seed(0))
    convolutions = [layer for layer in model.layers if isinstance(layer, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [64, 128, 256, 512, 1]
    assert [c.stride[0] for c in convolutions] == [2, 2, 2, 1, 1]
    assert {c.kernel_size for c in convolutions} == {(4, 4)}
    assert [type(layer).__name__ for layer in model.layers if isinstance(layer, nn.BatchNorm2d)] == ["BatchNorm2d"] * 3
    assert {layer.negative_slope for layer in model.layers if isinstance(layer, nn.LeakyReLU)} == {0.2}
    assert abs(convolutions[2].weight.std().item() - 0.02) < 1e-3
    assert convolutions[0].bias is not None
    assert not convolutions[0].bias.any()
    image = torch.zeros(1, 3, 256, 256, requires_grad=True)
    logits = model.eval()(image)
    assert logits.shape == (1, 1, 30, 30)
    logits[0, 0, 15, 15].backward()
    rows = image.grad[0].abs().sum((0, 2)).nonzero()
    assert rows.max() - rows.min() + 1 == 70


def patchgan_takes_the_smallest_image(losses: ModuleType) -> None:
    for layers in (1, 2, 3):
        for norm in ("batch", "group", "none"):
            model = losses.PatchGANDiscriminator(2, 6, layers, norm=norm)
            side = model.smallest_side
            assert model(normal(0, 2, 2, side, side)).shape == (2, 1, 1, 1)
            with pytest.raises(ValueError, match=str(side)):
                model(normal(0, 2, 2, side, side - 1))


def feature_discriminator_scores_each_image_alone(losses: ModuleType) -> None:
    torch.manual_seed(0)
    model = losses.FeatureDiscriminator(Stages(), [6, 4], kernel_size=3).eval()
    images = normal(0, 3, 3, 8, 8).requires_grad_()
    logits = model(images)
    assert logits.shape == (3, 64 + 16)
    assert torch.allclose(logits[1:2], model(images[1:2]), atol=1e-5)
    logits[0].sum().backward()
    assert images.grad[0].any()
    assert not images.grad[1:].any()
    model.train()
    assert not model.network.network.training
    assert all(not p.requires_grad for p in model.network.parameters())
    assert all(p.requires_grad for p in model.heads.parameters())
    shifted = model.eval().heads[0](normal(1, 1, 6, 9).roll(2, dims=2))
    assert torch.allclose(shifted, model.heads[0](normal(1, 1, 6, 9)).roll(2, dims=1), atol=1e-5)


CHECKS = [
    discriminator_values_are_those_of_the_papers,
    generator_values_are_those_of_the_papers,
    each_side_pulls_the_logits_its_own_way,
    adaptive_weight_is_the_ratio_of_gradients,
    adaptive_weight_stops_at_a_non_finite_gradient,
    lecam_is_the_distance_from_the_other_mean,
    lecam_means_run,
    lecam_of_maskbit_measures_with_the_means_before,
    r1_is_half_the_squared_slope,
    patchgan_has_the_published_layers,
    patchgan_takes_the_smallest_image,
    feature_discriminator_scores_each_image_alone,
]
