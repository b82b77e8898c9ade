"""Each generator learns a texture of known entropy to within 3 percent; figures in benchmarks/results."""

import math

import pytest
import torch

from _support import learning_runs as runs


def test_the_markov_texture_has_the_entropy_that_is_claimed():
    tokens, labels = runs.markov_texture(20_000, torch.Generator().manual_seed(0))
    image = tokens.reshape(-1, 4, 4)
    left = (image[:, :, 1:] - image[:, :, :-1] - labels[:, None, None]) % 4
    share = torch.bincount(left.flatten(), minlength=4) / left.numel()
    torch.testing.assert_close(share, torch.tensor([0.75, 1 / 12, 1 / 12, 1 / 12]), atol=0.01, rtol=0)
    above = (image[:, 1:, 0] - image[:, :-1, 0] - labels[:, None]) % 4
    assert abs((above == 0).float().mean().item() - 0.75) < 0.01
    assert math.isclose(runs.markov_entropy(), (math.log(4) + 15 * runs.follow_entropy(4)) / 16)


def test_the_least_flow_loss_is_the_variance_left_in_one_dimension():
    """For uncorrelated data (here one cell of one token) it is 2 - (2t - 1)^2 / ((1 - t)^2 + t^2)."""
    t = 0.3
    expected = 2 - (2 * t - 1) ** 2 / ((1 - t) ** 2 + t**2)
    assert math.isclose(runs.best_flow_loss(torch.tensor([[t]]), torch.tensor([[5]])), expected, rel_tol=1e-6)


@pytest.mark.slow
def test_next_token_prediction_reaches_the_entropy(record_property):
    loss = runs.far_run(runs.markov_texture, 1)
    record_property("loss_over_entropy", loss / runs.markov_entropy())
    assert abs(loss / runs.markov_entropy() - 1) < 0.03


@pytest.mark.slow
def test_far_with_two_streams_reaches_the_entropy(record_property):
    entropy = (runs.markov_entropy() + runs.follow_entropy(4)) / 2
    loss = runs.far_run(runs.two_streams, 2)
    record_property("loss_over_entropy", loss / entropy)
    assert abs(loss / entropy - 1) < 0.03


@pytest.mark.slow
def test_masked_ar_reaches_the_entropy(record_property):
    loss = runs.masked_run()
    record_property("loss_over_entropy", loss / runs.markov_entropy(2))
    assert abs(loss / runs.markov_entropy(2) - 1) < 0.03


@pytest.mark.slow
def test_xar_reaches_the_least_flow_loss(record_property):
    loss, best = runs.xar_run()
    record_property("loss_over_least", loss / best)
    assert abs(loss / best - 1) < 0.03
