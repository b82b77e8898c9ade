"""Generators that draw the first positions of a sequence and stop."""

import pytest
import torch

from _support.mutants import catches
from _support.small_generators import LABELS, far_variants, masked_variants, small_far, small_masked
from _support.strategies import seeded
from vistok.generators import Guidance, MaskedSampling, masked_counts

MASKED = "vistok.generators.sampling._masked_sampling"
FAR_SAMPLING = "vistok.generators.sampling._far_sampling"
ORDERS = ("confidence", "random", "raster")


@catches(FAR_SAMPLING, "guidance.at(position / last)", "guidance.at(position / max(num_tokens - 1, 1))")
def test_far_draws_the_first_of_the_tokens_that_it_would_draw_in_all():
    rising = Guidance(3.0, "linear")
    for model in far_variants():
        whole = model.sample(LABELS, guidance=rising, num_tokens=6, generator=seeded(0))
        assert torch.equal(model.sample(LABELS, guidance=rising, generator=seeded(0)), whole)
        for cache in (True, False):
            few = model.sample(LABELS, guidance=rising, num_tokens=4, generator=seeded(0), use_cache=cache)
            assert torch.equal(few, whole[:, :4])


@catches(FAR_SAMPLING, "len(model.blocks), length)", "len(model.blocks), length + 1)")
def test_far_keeps_keys_and_values_of_those_alone(monkeypatch):
    made, model = [], small_far()
    from vistok.generators.sampling import _far_sampling

    cache = _far_sampling.KVCache
    monkeypatch.setattr(_far_sampling, "KVCache", lambda *size, **more: made.append(size[2]) or cache(*size, **more))
    model.sample(LABELS, num_tokens=3, generator=seeded(0))
    assert made == [3, 3, 2]


@catches(MASKED, "masked_fill(unwanted, -math.inf)", "masked_fill(unwanted, 0.0)")
@catches(MASKED, ": left + units - wanted]", ": left]")
@catches(MASKED, "return tokens[:, :length]", "return tokens")
def test_masked_ar_fixes_the_first_positions_alone_in_its_steps():
    for model in masked_variants():
        for order in ORDERS:
            seen = []
            settings = MaskedSampling(order=order, schedule="arccos")
            tokens = model.sample(
                LABELS,
                num_steps=5,
                settings=settings,
                num_tokens=4,
                generator=seeded(0),
                observe=lambda *state, seen=seen: seen.append(state),
            )
            assert tokens.shape == (3, 4, 2)
            assert torch.equal(tokens, seen[-1][0][:, :4])
            for (_, mask), left in zip(seen, masked_counts(8, 5, "arccos"), strict=True):
                assert mask[:, 4:].all()
                assert (mask[:, :4].flatten(1).sum(dim=1) == left).all()


def test_masked_ar_of_all_positions_is_what_it_is_without_a_number():
    for model in masked_variants():
        for order in ORDERS:
            settings = MaskedSampling(order=order, refresh_every=2)
            both = [
                model.sample(LABELS, num_steps=4, settings=settings, guidance=2.0, num_tokens=n, generator=seeded(0))
                for n in (None, 6)
            ]
            assert torch.equal(*both)


def test_masked_ar_from_left_to_right_draws_the_first_of_the_tokens_that_it_would_draw_in_all():
    settings, guidance = MaskedSampling(order="raster"), Guidance(2.5)
    for model in masked_variants():
        whole = model.sample(LABELS, num_steps=12, settings=settings, guidance=guidance, generator=seeded(3))
        few = {"num_steps": 8, "num_tokens": 4}
        assert torch.equal(
            model.sample(LABELS, **few, settings=settings, guidance=guidance, generator=seeded(3)), whole[:, :4]
        )


@catches(MASKED, "_scales(guidance, counts, wanted)", "_scales(guidance, counts, units)")
def test_guidance_grows_to_its_value_over_the_positions_that_are_drawn(monkeypatch):
    scales, model = [], small_masked()
    from vistok.generators.sampling import _masked_sampling

    guide = _masked_sampling.guide
    monkeypatch.setattr(_masked_sampling, "guide", lambda c, u, scale: scales.append(scale) or guide(c, u, scale))
    settings = MaskedSampling(order="raster", schedule="linear")
    model.sample(LABELS, num_steps=4, settings=settings, guidance=5.0, num_tokens=2, generator=seeded(0))
    assert scales[::2] == [2.0, 3.0, 4.0, 5.0]  # two units a position


@catches("vistok.generators._checks", "and 1 <= num_tokens <= length)", "and num_tokens <= length)")
def test_numbers_of_tokens_that_there_are_not_are_refused():
    message = r"num_tokens must lie in 1\.\.6 \(the number of positions\), got [07]"
    for wrong in (7, 0):
        for model in (small_far(), small_masked()):
            with pytest.raises(ValueError, match=message):
                model.sample(LABELS, num_tokens=wrong)
    with pytest.raises(ValueError, match=r"num_steps must lie in 1\.\.4"):
        small_masked().sample(LABELS, num_tokens=2, num_steps=5)
