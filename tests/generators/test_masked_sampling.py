"""The samplers of masked generators: by confidence and in random order."""

from itertools import pairwise

import torch

from _support.mutants import catches
from _support.small_generators import LABELS, masked_variants, small_masked
from _support.strategies import seeded
from vistok.generators import Guidance, MaskedSampling, masked_counts

SUBJECT = "vistok.generators.sampling._masked_sampling"


def record(model, **arguments):
    """Sample and keep what the network was shown at each step."""
    shown, forward = [], model.forward

    def spy(tokens, mask, labels):
        shown.append((tokens.clone(), mask.clone()))
        return forward(tokens, mask, labels)

    model.forward = spy
    tokens = model.sample(LABELS, **arguments)
    del model.forward
    return tokens, shown


@catches(SUBJECT, "tokens = torch.where(mask, drawn, tokens)", "tokens = drawn")
@catches(SUBJECT, "score = score.masked_fill(~mask.flatten(1), math.inf)", "pass")
def test_sampling_never_reopens_and_fills_all_in_its_steps():
    for model in masked_variants():
        for order in ("confidence", "random"):
            for steps in (1, 4, 12):
                settings = MaskedSampling(order=order, schedule="arccos")
                tokens, shown = record(model, num_steps=steps, settings=settings, generator=seeded(0))
                assert len(shown) == steps
                counts = [12, *masked_counts(12, steps, "arccos")]
                shown.append((tokens, torch.zeros_like(tokens, dtype=torch.bool)))
                for number, ((before, hidden), (after, still)) in enumerate(pairwise(shown)):
                    assert (hidden.flatten(1).sum(-1) == counts[number]).all()
                    assert not (still & ~hidden).any()
                    assert torch.equal(before[~hidden], after[~hidden])
                sizes = torch.tensor(model.tokens.unit_sizes)
                assert ((tokens >= 0) & (tokens < sizes)).all()


@catches(SUBJECT, "score = log_prob.flatten(1) + weight * noise", "score = -log_prob.flatten(1) + weight * noise")
def test_the_most_confident_units_are_fixed_first():
    for model in masked_variants():
        settings = MaskedSampling(temperature=0.0, noise=0.0, schedule="linear")
        _, shown = record(model, num_steps=4, settings=settings, generator=seeded(0))
        logits = model(*shown[0], LABELS)
        best = torch.stack([stream.log_softmax(-1).max(-1).values for stream in logits], -1).flatten(1)
        fixed = ~shown[1][1].flatten(1)
        assert torch.equal(fixed, best >= best.sort(descending=True).values[:, 2:3])


def test_the_random_order_is_one_permutation_a_sample():
    model = small_masked()
    settings = MaskedSampling(order="random", schedule="linear")
    _, shown = record(model, num_steps=12, settings=settings, generator=seeded(9))
    order = torch.rand(3, 12, generator=seeded(9)).argsort(-1, descending=True)
    for step in range(11):
        opened = shown[step][1].flatten(1) & ~shown[step + 1][1].flatten(1)
        assert torch.equal(opened.long().argmax(-1), order[:, step])


@catches(SUBJECT, "score = log_prob.flatten(1) + weight * noise", "score = log_prob.flatten(1)")
def test_gumbel_noise_shuffles_the_order():
    model = small_masked()
    first = [
        record(model, num_steps=6, settings=MaskedSampling(temperature=0.0, noise=noise), generator=seeded(0))[1][1][1]
        for noise in (0.0, 50.0)
    ]
    assert not torch.equal(*first)


def test_guidance_one_is_no_guidance_and_zero_is_the_null_label():
    for model in masked_variants():
        plain = model.sample(LABELS, num_steps=4, generator=seeded(0))
        assert torch.equal(plain, model.sample(LABELS, num_steps=4, guidance=Guidance(1.0), generator=seeded(0)))
        null = torch.full_like(LABELS, model.null_label)
        zero = model.sample(LABELS, num_steps=4, guidance=Guidance(0.0), generator=seeded(0))
        assert torch.equal(zero, model.sample(null, num_steps=4, generator=seeded(0)))


@catches(SUBJECT, "1 - hidden / units", "hidden / units")
@catches(SUBJECT, "for hidden in counts]", "for hidden in [units, *counts[:-1]]]")
def test_guidance_clocks_count_units_after_the_step_or_steps_before_it():
    asked = []

    class Spy(Guidance):
        def at(self, progress):
            asked.append(progress)
            return 1.0

    model = small_masked()
    settings = MaskedSampling(schedule="cosine")
    model.sample(LABELS, num_steps=4, guidance=Spy(2.0, clock="known"), settings=settings, generator=seeded(0))
    model.sample(LABELS, num_steps=4, guidance=Spy(2.0, clock="step"), settings=settings, generator=seeded(0))
    counts = masked_counts(12, 4, "cosine")
    assert asked == [1 - left / 12 for left in counts] + [0.0, 0.25, 0.5, 0.75]


def test_guided_greedy_steps_use_guided_logits():
    model = small_masked()
    settings = MaskedSampling(temperature=0.0, noise=0.0)
    tokens = model.sample(LABELS, num_steps=1, guidance=Guidance(3.0), settings=settings)
    assert torch.equal(tokens, model.sample(LABELS, num_steps=1, guidance=3.0, settings=settings))
    blank, hidden = torch.zeros(3, 6, 2, dtype=torch.int64), torch.ones(3, 6, 2, dtype=torch.bool)
    both = zip(model(blank, hidden, LABELS), model(blank, hidden, torch.full_like(LABELS, 5)), strict=True)
    assert torch.equal(tokens, torch.stack([(u + 3 * (c - u)).argmax(-1) for c, u in both], -1))


def test_a_batch_is_its_elements():
    settings = MaskedSampling(temperature=0.0, noise=0.0)
    for model in masked_variants():
        alone = [model.sample(LABELS[i : i + 1], num_steps=5, guidance=2.0, settings=settings) for i in range(3)]
        assert torch.equal(model.sample(LABELS, num_steps=5, guidance=2.0, settings=settings), torch.cat(alone))


def test_one_generator_gives_one_result():
    for model in masked_variants():
        model.train()
        first, second = (model.sample(LABELS, num_steps=3, generator=seeded(0)) for _ in range(2))
        assert torch.equal(first, second)
        assert model.training
