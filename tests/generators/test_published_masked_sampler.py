"""MaskBit's published sampler, written out in float64 from what it does, gives the same tokens step by step.

Its draws are by inversion here, made in the order in which ours come, so that both see one stream of numbers.
"""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.small_generators import LABELS, masked_variants, small_masked
from _support.strategies import seeded
from vistok.generators import Guidance, MaskedSampling

SUBJECT = "vistok.generators.sampling._masked_sampling"


def inverted(probabilities, rng):
    numbers = torch.rand(probabilities.shape[:-1], generator=rng).double()
    return torch.searchsorted(probabilities.cumsum(-1), numbers[..., None], right=True)[..., 0]


def gumbel(shape, rng):
    return -torch.empty(shape).exponential_(generator=rng).clamp_min(1e-30).log().double()


def published_steps(model, *, steps, scale, power, temperature, noise, rng):
    """What is known after each step: ``(tokens, mask)``, arccos schedule, ``c + s (c - u)`` with a power cosine."""
    batch, units = len(LABELS), model.length * model.num_units
    tokens = torch.zeros(batch, model.length, model.num_units, dtype=torch.int64)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    null = torch.full_like(LABELS, model.null_label)
    for step in range(steps):
        progress = (step + 1) / steps
        strength = scale * (1 - math.cos((step / steps) ** power * math.pi)) / 2
        probabilities = []
        for given_label, free in zip(model(tokens, mask, LABELS), model(tokens, mask, null), strict=True):
            logits = given_label.double() + strength * (given_label.double() - free.double())
            exponentials = ((logits - logits.amax(-1, keepdim=True)) / temperature).exp()
            probabilities.append(exponentials / exponentials.sum(-1, keepdim=True))
        drawn = [inverted(p, rng) for p in probabilities]
        chosen = [p.gather(-1, ids[..., None])[..., 0] for p, ids in zip(probabilities, drawn, strict=True)]
        tokens = torch.where(mask, torch.stack(drawn, -1), tokens)
        confidence = torch.stack(chosen, -1).masked_fill(~mask, math.inf).log().flatten(1)
        if noise * (1 - progress) > 0:
            confidence = confidence + noise * (1 - progress) * gumbel((batch, units), rng)
        hidden = int(mask[0].sum())
        count = min(max(math.floor(units * math.acos(progress) / (math.pi / 2)), 1), hidden - 1)
        if step < steps - 1:
            threshold = confidence.sort(-1).values[:, count - 1 : count]
            mask = (confidence <= threshold).view_as(mask)
        else:
            mask = torch.zeros_like(mask)
        yield tokens.clone(), mask


@catches(SUBJECT, "/ settings.temperature if settings.temperature else", "if settings.temperature else")
@catches(
    SUBJECT,
    "/ settings.temperature if settings.temperature else",
    "* settings.temperature if settings.temperature else",
)
@catches(SUBJECT, "(1 - (step + 1) / num_steps)", "(1 - step / num_steps)")
@catches(SUBJECT, "guidance.at(step / len(counts))", "guidance.at((step + 1) / len(counts))")
@given(st.floats(0.3, 2.0), st.floats(0.0, 8.0), st.integers(1, 6), st.integers(0, 99))
def test_sampling_is_the_published_one(temperature, noise, steps, seed):
    guidance = Guidance.from_extrapolation(2.1, "power_cosine", power=2.5)
    settings = MaskedSampling(schedule="arccos", temperature=temperature, noise=noise)
    for model in masked_variants():
        seen = []
        model.sample(
            LABELS,
            num_steps=steps,
            guidance=guidance,
            settings=settings,
            generator=seeded(seed),
            observe=lambda *step, seen=seen: seen.append(step),
        )
        asked = {"steps": steps, "scale": 2.1, "power": 2.5, "temperature": temperature, "noise": noise}
        with torch.no_grad():
            expected = list(published_steps(model, **asked, rng=seeded(seed)))
        assert len(seen) == len(expected)
        for (tokens, mask), (their_tokens, their_mask) in zip(seen, expected, strict=True):
            assert torch.equal(mask, their_mask)
            assert torch.equal(tokens, their_tokens)


def test_at_temperature_zero_confidence_is_the_models_own_probability():
    """Tempered, the most likely value has probability one everywhere: nothing to order by."""
    model = small_masked()
    seen = []
    settings = MaskedSampling(schedule="linear", temperature=0.0, noise=0.0)
    model.sample(LABELS, num_steps=4, settings=settings, observe=lambda *step: seen.append(step))
    blank, hidden = torch.zeros(3, 6, 2, dtype=torch.int64), torch.ones(3, 6, 2, dtype=torch.bool)
    best = torch.stack([stream.softmax(-1).amax(-1) for stream in model(blank, hidden, LABELS)], -1).flatten(1)
    assert torch.equal(~seen[0][1].flatten(1), best >= best.sort(descending=True).values[:, 2:3])
