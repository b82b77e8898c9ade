"""Raster order and the view of a generation in progress; each check takes the package, so it can judge a mutant."""

import importlib
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.masked_checks import LABELS, network, seeded, variants
from _support.mutants import mutated
from vistok import generators

ORDERS = ("confidence", "random", "raster")


def watch(model, **arguments):
    """A sample and the copies (tokens, mask) seen after each step."""
    seen = []
    tokens = model.sample(LABELS, observe=lambda *step: seen.append(step), **arguments)
    return tokens, seen


def after_every_step_the_known_units_are_the_first_ones(g):
    for model in variants(g):
        for schedule in ("cosine", "arccos", "linear"):
            for steps in (1, 5, 12):
                settings = g.MaskedSampling(order="raster", schedule=schedule)
                _, seen = watch(model, num_steps=steps, settings=settings, generator=seeded())
                for (_, mask), left in zip(seen, g.masked_counts(12, steps, schedule), strict=True):
                    place = 2 * torch.arange(6)[:, None] + torch.arange(2)
                    assert torch.equal(mask, (place >= 12 - left).expand(3, 6, 2))


def a_step_a_unit_is_ancestral_sampling_from_left_to_right(g):
    for model in variants(g):
        for scale in (1.0, 2.5):
            rng = seeded(5)
            tokens = torch.zeros(3, 6, 2, dtype=torch.int64)
            known = torch.zeros(3, 6, 2, dtype=torch.bool)
            for position in range(6):
                for unit in range(2):
                    logits = model(tokens, ~known, LABELS)
                    if scale != 1:
                        null = model(tokens, ~known, torch.full_like(LABELS, model.null_label))
                        logits = [u + scale * (c - u) for c, u in zip(logits, null, strict=True)]
                    ids = [g.draw_tokens(stream, generator=rng) for stream in logits]
                    tokens[:, position, unit] = ids[unit][:, position]
                    known[:, position, unit] = True
            settings = g.MaskedSampling(order="raster")
            guidance = g.Guidance(scale)
            drawn = model.sample(LABELS, num_steps=12, settings=settings, guidance=guidance, generator=seeded(5))
            assert torch.equal(drawn, tokens)


def raster_order_ignores_confidence(g):
    model = network(g)
    calm, noisy = (
        model.sample(LABELS, num_steps=6, settings=g.MaskedSampling(order="raster", noise=noise), generator=seeded())
        for noise in (0.0, 50.0)
    )
    assert torch.equal(calm, noisy)


def the_last_view_is_the_result(g):
    for model in variants(g):
        for order in ORDERS:
            for steps in (1, 5, 12):
                settings = g.MaskedSampling(order=order)
                tokens, seen = watch(model, num_steps=steps, settings=settings, generator=seeded())
                assert len(seen) == steps
                assert torch.equal(seen[-1][0], tokens)
                assert not seen[-1][1].any()
                hidden = [int(mask[0].sum()) for _, mask in seen]
                assert hidden == g.masked_counts(12, steps, "cosine")


def once_known_a_unit_never_changes(g):
    for model in variants(g):
        for order in ORDERS:
            settings = g.MaskedSampling(order=order)
            _, seen = watch(model, num_steps=8, settings=settings, generator=seeded())
            for (tokens, mask), (later, still) in pairwise(seen):
                assert torch.equal(tokens[~mask], later[~mask])
                assert not (still & ~mask).any()


def an_observer_changes_nothing(g):
    """Not even one that writes into what it is given."""

    def spoil(tokens, mask):
        tokens.fill_(0)
        mask.fill_(False)

    for model in variants(g):
        for order in ORDERS:
            settings = g.MaskedSampling(order=order)
            plain = model.sample(LABELS, num_steps=5, settings=settings, generator=seeded())
            watched, _ = watch(model, num_steps=5, settings=settings, generator=seeded())
            spoiled = model.sample(LABELS, num_steps=5, settings=settings, generator=seeded(), observe=spoil)
            assert torch.equal(plain, watched)
            assert torch.equal(plain, spoiled)


CHECKS = [
    after_every_step_the_known_units_are_the_first_ones,
    a_step_a_unit_is_ancestral_sampling_from_left_to_right,
    raster_order_ignores_confidence,
    the_last_view_is_the_result,
    once_known_a_unit_never_changes,
    an_observer_changes_nothing,
]

MUTANTS = [
    ("torch.arange(units, 0, -1,", "torch.arange(0, units,", after_every_step_the_known_units_are_the_first_ones),
    ("torch.arange(units, 0, -1,", "torch.arange(0, units,", a_step_a_unit_is_ancestral_sampling_from_left_to_right),
    ('if order == "raster":', "if False:", raster_order_ignores_confidence),
    ("observe(tokens.clone(), mask.clone())", "observe(drawn.clone(), mask.clone())", once_known_a_unit_never_changes),
    ("observe(tokens.clone(), mask.clone())", "observe(tokens, mask.clone())", an_observer_changes_nothing),
    ("observe(tokens.clone(), mask.clone())", "observe(tokens.clone(), mask)", an_observer_changes_nothing),
    ("if observe is not None:", "if observe is not None and left:", the_last_view_is_the_result),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_that(check):
    check(generators)


@pytest.mark.parametrize(("old", "new", "check"), MUTANTS)
def test_a_planted_bug_is_caught(old, new, check):
    importlib.import_module("vistok.generators")
    with mutated("vistok.generators", "_masked_sampling", old, new) as package:
        with pytest.raises(AssertionError):
            check(package)


@given(st.integers(1, 5), st.integers(1, 3), st.data(), st.sampled_from(["cosine", "arccos", "linear"]))
def test_raster_order_fills_every_shape_from_the_front(positions, streams, data, schedule):
    steps = data.draw(st.integers(1, positions * streams))
    torch.manual_seed(0)
    model = generators.MaskedAR(generators.IdTokens((3,) * streams), positions, 5, width=8, depth=1, num_heads=2)
    settings = generators.MaskedSampling(order="raster", schedule=schedule)
    _, seen = watch(model, num_steps=steps, settings=settings, generator=seeded())
    for (_, mask), left in zip(seen, generators.masked_counts(positions * streams, steps, schedule), strict=True):
        known = [False] * (positions * streams - left) + [True] * left
        assert mask.flatten(1).tolist() == [known] * 3


def test_the_mode_comes_back_when_the_observer_stops_the_generation():
    model = network(generators).train()

    def stop(tokens, mask):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.sample(LABELS, num_steps=3, observe=stop)
    assert model.training
