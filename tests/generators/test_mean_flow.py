"""The average velocity: its identity where it is known in closed form, its loss, its steps."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import (
    DoubleStreamBlock,
    mean_flow_loss,
    mean_flow_target,
    mean_velocity,
    solve_mean_flow,
    uniform_times,
)

SUBJECT = "vistok.generators.flow.mean_flow"
MEAN, DEVIATION = 1.5, 0.5


def scale(t):
    """Of the path's marginal of data ~ N(1.5, 0.5^2): (1 - t) x + t noise."""
    return ((1 - t) ** 2 * DEVIATION**2 + t**2) ** 0.5


def average(x, r, t):
    """The flow carries the marginal of t to that of r, both normal: shift and scale, over the time."""
    there = (1 - r) * MEAN + scale(r) / scale(t) * (x - (1 - t) * MEAN)
    return (x - there) / (t - r)


def velocity(x, t):
    """E[noise - data | x], by conditioning of jointly normal variables."""
    return -MEAN + (t - (1 - t) * DEVIATION**2) / scale(t) ** 2 * (x - (1 - t) * MEAN)


@catches(
    SUBJECT, "(velocity, torch.zeros_like(r), torch.ones_like(t))", "(velocity, torch.ones_like(r), torch.ones_like(t))"
)
@catches(SUBJECT, "(velocity, torch.zeros_like(r), torch", "(0 * velocity, torch.zeros_like(r), torch")
@catches(SUBJECT, "velocity - (t - r) * derivative", "velocity + (t - r) * derivative")
@catches(SUBJECT, "velocity - (t - r) * derivative", "velocity - t * derivative")
def test_the_average_velocity_of_a_normal_distribution_is_its_own_target():
    draws = seeded(0)
    x = torch.randn(200, generator=draws, dtype=torch.float64)
    r, t = torch.rand(2, 200, generator=draws, dtype=torch.float64).sort(dim=0).values
    found = mean_velocity(average, x, r, t, velocity(x, t))
    target = mean_flow_target(velocity(x, t), found.derivative, r, t)
    torch.testing.assert_close(found.value, average(x, r, t))
    torch.testing.assert_close(target, average(x, r, t), rtol=1e-6, atol=1e-6)


@catches(SUBJECT, "x - (t - r) * network", "x - t * network")
def test_any_number_of_steps_along_it_ends_where_the_flow_does():
    noise = torch.linspace(-2, 2, 5, dtype=torch.float64)
    for steps in (1, 2, 5):
        end = solve_mean_flow(average, noise, uniform_times(steps))
        torch.testing.assert_close(end, MEAN + DEVIATION * noise)


@catches(SUBJECT, "return MeanVelocity(value, derivative.detach())", "return MeanVelocity(value, derivative)")
@catches(SUBJECT, "    with sdpa_kernel(SDPBackend.MATH):\n        both", "    if True:\n        both")
def test_a_network_with_attention_has_a_forward_derivative_and_a_gradient_of_its_value_alone():
    torch.manual_seed(0)
    block = DoubleStreamBlock(16, 2, conditioned=False).double()
    x, tangent = torch.randn(2, 2, 9, 16, generator=seeded(1), dtype=torch.float64)
    r, t = torch.full((2, 2), 0.5, dtype=torch.float64)
    network = lambda x, r, t: block(x * t[:, None, None], x)[0]  # noqa: E731
    found = mean_velocity(network, x, r, t, tangent)
    step = 1e-3  # the norms are computed in float32
    after, before = (network(x + way * tangent, r, t + way).detach() for way in (step, -step))
    torch.testing.assert_close(found.derivative, (after - before) / (2 * step), rtol=1e-2, atol=1e-3)
    assert found.value.requires_grad
    assert not found.derivative.requires_grad


@catches(SUBJECT, "(error.detach() + offset)", "(error + offset)")
@catches(SUBJECT, ".flatten(1).mean(dim=1)", ".flatten(1).sum(dim=1)")
@catches(SUBJECT, "** power).mean()", ").mean()")
def test_the_loss_weighs_each_sample_by_a_power_of_its_own_error():
    """Errors of 1 and 4: (1 / 2 ** 0.5 + 4 / 5 ** 0.5) / 2; the gradient takes the weight for a constant."""
    predicted = torch.tensor([[1.0, -1.0], [2.0, 2.0]], dtype=torch.float64, requires_grad=True)
    loss = mean_flow_loss(predicted, torch.zeros(2, 2, dtype=torch.float64), power=0.5, offset=1.0)
    torch.testing.assert_close(loss.item(), (2**-0.5 + 4 * 5**-0.5) / 2)
    loss.backward()
    weights = torch.tensor([[2**-0.5], [5**-0.5]], dtype=torch.float64)
    torch.testing.assert_close(predicted.grad, predicted.detach() * weights / 2)
    plain = mean_flow_loss(predicted, torch.zeros(2, 2, dtype=torch.float64), power=0.0)
    assert plain.item() == pytest.approx(2.5)
    assert mean_flow_loss(predicted.bfloat16(), torch.zeros(2, 2)).dtype == torch.float32
    with pytest.raises(ValueError, match="one shape, got"):
        mean_flow_loss(predicted, torch.zeros(2))


@catches(SUBJECT, "if predicted.ndim < 2:", "if False:")
@catches(SUBJECT, "if not offset > 0:", "if offset < 0:")
def test_a_loss_of_samples_without_values_or_without_an_offset_is_named():
    with pytest.raises(ValueError, match=r"^predicted must have shape \(B, ...\), got \(2,\)$"):
        mean_flow_loss(torch.zeros(2), torch.zeros(2))
    for offset in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"^offset must be > 0, got {offset}$"):
            mean_flow_loss(torch.zeros(2, 3), torch.zeros(2, 3), offset=offset)
