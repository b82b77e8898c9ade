"""LeCam's three forms and their running means; means on two ranks are in test_distributed.py."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.losses import LeCamLoss, lecam_loss

SUBJECT = "vistok.losses.lecam"


@catches(SUBJECT, "above, below = real - widen(fake_mean.detach())", "above, below = real - widen(real_mean.detach())")
@catches(SUBJECT, "real, fake = real.mean(), fake.mean()", "pass")
def test_the_value_is_the_distance_from_the_other_sides_mean():
    real, fake = normal(0, 8), normal(1, 9)
    r, f = real.double(), fake.double()
    mean_r, mean_f = torch.tensor(0.3), torch.tensor(-0.2)
    wanted = (r + 0.2).square().mean() + (f - 0.3).square().mean()
    assert abs(lecam_loss(real, fake, mean_r, mean_f) - wanted) < 1e-6
    wanted = (r + 0.2).clamp(min=0).square().mean() + (0.3 - f).clamp(min=0).square().mean()
    assert abs(lecam_loss(real, fake, mean_r, mean_f, form="lecam_gan") - wanted) < 1e-6
    wanted = (r.mean() + 0.2).clamp(min=0).square() + (0.3 - f.mean()).clamp(min=0).square()
    assert abs(lecam_loss(real, fake, mean_r, mean_f, form="maskbit") - wanted) < 1e-6


@catches(SUBJECT, "decay = self.decay * self.started", "decay = self.decay")
@catches(SUBJECT, 'if self.training and self.form != "maskbit":', "if True:")
def test_the_means_run_and_an_earlier_graph_keeps_its_own():
    module = LeCamLoss(decay=0.75)
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


@catches(SUBJECT, 'if self.training and self.form != "maskbit":', "if self.training:")
@catches(SUBJECT, 'float(form == "maskbit")', "0.0")
@catches(SUBJECT, "self.real_mean.clone(), self.fake_mean.clone()", "self.real_mean, self.fake_mean")
def test_maskbits_form_measures_with_the_means_before():
    """By hand: means start at 0, the first call is (2 - 0)^2 + (0 + 1)^2; then they are half of the logits' means."""
    module = LeCamLoss(decay=0.5, form="maskbit")
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


@catches(SUBJECT, "widen(fake_mean.detach())", "widen(fake_mean)")
@catches(SUBJECT, "widen(real_mean.detach())", "widen(real_mean)")
def test_no_gradient_flows_through_the_means():
    means = torch.tensor(0.1, requires_grad=True), torch.tensor(0.2, requires_grad=True)
    real, fake = normal(0, 4).requires_grad_(), normal(1, 5).requires_grad_()
    lecam_loss(real, fake, *means).backward()
    assert means[0].grad is None
    assert means[1].grad is None
    torch.testing.assert_close(real.grad, 2 * (real.detach() - 0.2) / 4)
    torch.testing.assert_close(fake.grad, 2 * (fake.detach() - 0.1) / 5)


@given(tensors((4,)), tensors((3,)), st.floats(-8, 8), st.floats(-8, 8))
def test_never_below_zero_and_a_clipped_form_never_above_the_papers(real, fake, real_mean, fake_mean):
    means = torch.tensor(real_mean), torch.tensor(fake_mean)
    paper, lecam_gan, maskbit = (
        lecam_loss(real, fake, *means, form=form) for form in ("paper", "lecam_gan", "maskbit")
    )
    assert 0 <= lecam_gan <= paper * (1 + 1e-6)
    assert 0 <= maskbit <= lecam_gan * (1 + 1e-4) + 1e-4


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="decay"):
        LeCamLoss(decay=1.0)
    with pytest.raises(ValueError, match="form"):
        LeCamLoss(form="two_sided")


@catches(SUBJECT, "torch.where(finite, decay * mean", "torch.where(True, decay * mean")
@catches(SUBJECT, "torch.where(finite, 1.0, self.started)", "torch.ones_like(self.started)")
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_call_with_logits_that_are_not_finite_leaves_the_means_as_they_were(bad):
    loss, other = LeCamLoss(decay=0.5), LeCamLoss(decay=0.5)
    real, fake = normal(0, 4), normal(1, 4)
    for sound in (real, 2 * real):
        assert not torch.isfinite(loss(torch.full((4,), bad), fake))
        assert torch.equal(loss(sound, fake), other(sound, fake))
    assert torch.equal(loss.real_mean, other.real_mean)


@catches(SUBJECT, "moved.dtype.itemsize < 4", "False")
@catches(SUBJECT, "mean.to(moved.device)", "moved.float()")
def test_in_half_precision_the_means_are_kept_in_float32_and_move():
    loss, other = LeCamLoss(), LeCamLoss()
    real, fake = normal(0, 4), normal(1, 4)
    for shift in range(3):
        loss.to(torch.bfloat16)
        for module in (loss, other):
            module(real + shift, fake - shift)
    assert loss.real_mean.dtype == torch.float32
    assert torch.equal(loss.real_mean, other.real_mean)
    assert torch.equal(loss.fake_mean, other.fake_mean)
    assert loss.double().real_mean.dtype == torch.float64
    assert loss.to("meta", torch.float16).real_mean.is_meta
