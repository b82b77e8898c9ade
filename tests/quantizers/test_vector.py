import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.strategies import normal, seeds
from vistok.quantizers import VectorQuantizer, k_means


def generator(seed):
    return torch.Generator().manual_seed(seed)


def build(seed=0, **kwargs):
    return VectorQuantizer(16, 3, generator=generator(seed), **kwargs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codebook_size": 0}, "codebook_size must be at least 1, got 0"),
        ({"code_dim": 0}, "code_dim must be at least 1, got 0"),
        ({"metric": "dot"}, "metric must be 'cosine' or 'euclidean', got 'dot'"),
        ({"learning": "adam"}, "learning must be 'gradient' or 'ema', got 'adam'"),
        ({"decay": 1.0}, r"decay must be in \[0, 1\), got 1\.0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VectorQuantizer(**{"codebook_size": 4, "code_dim": 2, **arguments})


def test_the_first_codebook_is_uniform_and_of_unit_length_for_cosine():
    plain = VectorQuantizer(1000, 4, metric="euclidean", generator=generator(0)).codebook
    assert plain.abs().max() <= 1 / 1000
    assert plain.abs().max() > 0.99 / 1000
    length = VectorQuantizer(1000, 4, generator=generator(0)).codebook.norm(dim=1)
    torch.testing.assert_close(length, torch.ones(1000))
    assert torch.equal(build(3).codebook, build(3).codebook)
    assert not torch.equal(build(3).codebook, build(4).codebook)


@pytest.mark.parametrize(("learning", "parameters"), [("gradient", 1), ("ema", 0)])
def test_the_codebook_is_a_parameter_only_when_learned_by_gradient(learning, parameters):
    quantizer = build(learning=learning)
    assert len(list(quantizer.parameters())) == parameters
    assert quantizer.codebook.shape == (16, 3)
    quantizer.freeze()
    assert not quantizer.codebook.requires_grad
    quantizer.unfreeze()
    assert quantizer.codebook.requires_grad == (learning == "gradient")


@given(seeds, st.sampled_from(["cosine", "euclidean"]))
def test_a_code_that_no_token_chose_does_not_move(seed, metric):
    quantizer = build(seed, metric=metric, learning="ema")
    before = quantizer.codebook.clone()
    indices = quantizer(normal(seed, 5, 3)).indices
    quantizer.update()
    unused = torch.ones(16, dtype=torch.bool)
    unused[indices] = False
    assert torch.equal(quantizer.codebook[unused], before[unused])
    if metric == "cosine":
        torch.testing.assert_close(quantizer.codebook.norm(dim=1), torch.ones(16))


@given(seeds)
def test_the_moving_average_never_leaves_the_hull_of_codes_and_features(seed):
    quantizer = build(seed, metric="euclidean", learning="ema", decay=0.5)
    z = normal(seed, 30, 3)
    low = torch.minimum(z.amin(0), quantizer.codebook.amin(0))
    high = torch.maximum(z.amax(0), quantizer.codebook.amax(0))
    for _ in range(3):
        quantizer(z)
        quantizer.update()
    assert (quantizer.codebook >= low - 1e-5).all()
    assert (quantizer.codebook <= high + 1e-5).all()


def test_steps_unused_counts_updates_since_a_code_was_chosen():
    quantizer = build()
    indices = quantizer(normal(0, 2, 3)).indices
    quantizer.update()
    quantizer.update()
    wanted = torch.full((16,), 2)
    wanted[indices] = 1
    assert torch.equal(quantizer.steps_unused, wanted)


@pytest.mark.parametrize("learning", ["gradient", "ema"])
def test_a_resumed_run_equals_the_uninterrupted_one(learning):
    def steps(quantizer, draw, first, last):
        for step in range(first, last):
            z = normal(step, 20, 3)
            quantizer(z)
            quantizer.update()
            quantizer.revive(z, generator=draw, after=2)

    whole, draw = build(learning=learning), generator(5)
    steps(whole, draw, 0, 3)
    saved, saved_draw = copy.deepcopy(whole.state_dict()), draw.get_state()
    steps(whole, draw, 3, 6)
    resumed, draw = build(9, learning=learning), generator(0)
    resumed.load_state_dict(saved)
    draw.set_state(saved_draw)
    steps(resumed, draw, 3, 6)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize("learning", ["gradient", "ema"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_initialize_sets_the_k_means_centres_and_forgets_the_statistics(learning, metric):
    quantizer = build(learning=learning, metric=metric)
    quantizer(normal(1, 9, 3))
    quantizer.update()
    quantizer(normal(2, 9, 3))
    z = normal(0, 4, 3, 5, 5)
    quantizer.initialize(z, generator=generator(1), iterations=4)
    rows = quantizer.to_code_space(z).movedim(1, -1).reshape(-1, 3)
    wanted = k_means(rows, 16, generator=generator(1), metric=metric, iterations=4)
    assert torch.equal(quantizer.codebook.detach(), wanted)
    assert not quantizer.steps_unused.any()
    assert not quantizer.pending_count.any()
    if learning == "ema":
        assert torch.equal(quantizer.ema_sum, wanted)
        assert (quantizer.ema_count == 1).all()
        assert not quantizer.pending_sum.any()


def test_initialize_needs_a_finite_token_for_each_code():
    z = normal(0, 16, 3)
    z[3, 1] = float("nan")
    with pytest.raises(ValueError, match="at least num_clusters=16 finite rows, got 15"):
        build().initialize(z, generator=generator(0))


def test_revival_draws_only_finite_features_and_refuses_a_senseless_age():
    quantizer = build()
    quantizer.steps_unused += 3
    z = normal(0, 4, 3)
    z[0, 0] = float("inf")
    revived = quantizer.revive(z, generator=generator(0))
    assert len(revived) == 3
    assert quantizer.codebook.isfinite().all()
    with pytest.raises(ValueError, match="after must be at least 1, got 0"):
        quantizer.revive(z, generator=generator(0), after=0)


def test_distinct_codes_have_a_zero_error_fixed_point():
    quantizer = build(metric="euclidean")
    quantizer.codebook.data.copy_(normal(0, 16, 3))
    out = quantizer(quantizer.codebook.detach())
    assert out.indices.tolist() == list(range(16))
    assert torch.equal(out.codes, quantizer.codebook)
