"""Masked sampling in raster order, and the view of a generation in progress."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.small_generators import LABELS, masked_variants, small_masked
from _support.strategies import seeded
from vistok.generators import Guidance, IdTokens, MaskedAR, MaskedSampling, draw_tokens, masked_counts

SUBJECT = "vistok.generators.sampling._masked_sampling"
ORDERS = ("confidence", "random", "raster")


def watch(model, **arguments):
    """A sample and the copies (tokens, mask) seen after each step."""
    seen = []
    tokens = model.sample(LABELS, observe=lambda *step: seen.append(step), **arguments)
    return tokens, seen


@catches(SUBJECT, "torch.arange(units, 0, -1,", "torch.arange(0, units,")
def test_after_every_step_the_known_units_are_the_first_ones():
    for model in masked_variants():
        for schedule in ("cosine", "arccos", "linear"):
            for steps in (1, 5, 12):
                settings = MaskedSampling(order="raster", schedule=schedule)
                _, seen = watch(model, num_steps=steps, settings=settings, generator=seeded(0))
                for (_, mask), left in zip(seen, masked_counts(12, steps, schedule), strict=True):
                    place = 2 * torch.arange(6)[:, None] + torch.arange(2)
                    assert torch.equal(mask, (place >= 12 - left).expand(3, 6, 2))


@catches(SUBJECT, "torch.arange(units, 0, -1,", "torch.arange(0, units,")
def test_a_step_a_unit_is_ancestral_sampling_from_left_to_right():
    for model in masked_variants():
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
                    ids = [draw_tokens(stream, generator=rng) for stream in logits]
                    tokens[:, position, unit] = ids[unit][:, position]
                    known[:, position, unit] = True
            settings = MaskedSampling(order="raster")
            guidance = Guidance(scale)
            drawn = model.sample(LABELS, num_steps=12, settings=settings, guidance=guidance, generator=seeded(5))
            assert torch.equal(drawn, tokens)


@catches(SUBJECT, 'if order == "raster":', "if False:")
def test_raster_order_ignores_confidence():
    model = small_masked()
    calm, noisy = (
        model.sample(LABELS, num_steps=6, settings=MaskedSampling(order="raster", noise=noise), generator=seeded(0))
        for noise in (0.0, 50.0)
    )
    assert torch.equal(calm, noisy)


@catches(SUBJECT, "if observe is not None:", "if observe is not None and left:")
def test_the_last_view_is_the_result():
    for model in masked_variants():
        for order in ORDERS:
            for steps in (1, 5, 12):
                settings = MaskedSampling(order=order)
                tokens, seen = watch(model, num_steps=steps, settings=settings, generator=seeded(0))
                assert len(seen) == steps
                assert torch.equal(seen[-1][0], tokens)
                assert not seen[-1][1].any()
                hidden = [int(mask[0].sum()) for _, mask in seen]
                assert hidden == masked_counts(12, steps, "cosine")


@catches(SUBJECT, "observe(tokens.clone(), mask.clone())", "observe(drawn.clone(), mask.clone())")
def test_once_known_a_unit_never_changes():
    for model in masked_variants():
        for order in ORDERS:
            settings = MaskedSampling(order=order)
            _, seen = watch(model, num_steps=8, settings=settings, generator=seeded(0))
            for (tokens, mask), (later, still) in pairwise(seen):
                assert torch.equal(tokens[~mask], later[~mask])
                assert not (still & ~mask).any()


@catches(SUBJECT, "observe(tokens.clone(), mask.clone())", "observe(tokens, mask.clone())")
@catches(SUBJECT, "observe(tokens.clone(), mask.clone())", "observe(tokens.clone(), mask)")
def test_an_observer_changes_nothing():
    """Not even one that writes into what it is given."""

    def spoil(tokens, mask):
        tokens.fill_(0)
        mask.fill_(False)

    for model in masked_variants():
        for order in ORDERS:
            settings = MaskedSampling(order=order)
            plain = model.sample(LABELS, num_steps=5, settings=settings, generator=seeded(0))
            watched, _ = watch(model, num_steps=5, settings=settings, generator=seeded(0))
            spoiled = model.sample(LABELS, num_steps=5, settings=settings, generator=seeded(0), observe=spoil)
            assert torch.equal(plain, watched)
            assert torch.equal(plain, spoiled)


@given(st.integers(1, 5), st.integers(1, 3), st.data(), st.sampled_from(["cosine", "arccos", "linear"]))
def test_raster_order_fills_every_shape_from_the_front(positions, streams, data, schedule):
    steps = data.draw(st.integers(1, positions * streams))
    torch.manual_seed(0)
    model = MaskedAR(IdTokens((3,) * streams), positions, 5, width=8, depth=1, num_heads=2)
    settings = MaskedSampling(order="raster", schedule=schedule)
    _, seen = watch(model, num_steps=steps, settings=settings, generator=seeded(0))
    for (_, mask), left in zip(seen, masked_counts(positions * streams, steps, schedule), strict=True):
        known = [False] * (positions * streams - left) + [True] * left
        assert mask.flatten(1).tolist() == [known] * 3


def test_the_mode_comes_back_when_the_observer_stops_the_generation():
    model = small_masked().train()

    def stop(tokens, mask):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.sample(LABELS, num_steps=3, observe=stop)
    assert model.training
