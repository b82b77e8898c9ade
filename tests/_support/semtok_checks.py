"""What must hold of the recipe's maths, as functions of the module that holds it: true of ours, false of mutants."""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F

from _support.semtok_runs import generator, pictures, tiny_tokenizer
from semtok.alignment import Targets
from semtok.config import LossConfig
from semtok.draws import Draws
from vistok.generators import BitTokens
from vistok.workbench.training.micro_batches import MicroBatch

NOISE = torch.randn(3, 1, 16, 16, generator=generator(1))
TIMES = torch.tensor([0.2, 0.5, 0.9])
HIDDEN = torch.tensor([[False] * 4, [False, False, True, True], [True] * 4])


def close(a, b, **tolerance):
    torch.testing.assert_close(a.double(), b.double(), **({"rtol": 1e-4, "atol": 1e-5} | tolerance))


def check_flow_and_estimate(model, stage):
    """Flow term and one-step estimate, in float64 from the definitions."""
    tokenizer, images = tiny_tokenizer(model=model.SemTok), pictures()
    out = tokenizer(images, Draws(TIMES, NOISE, HIDDEN))
    terms = stage.LossTerms(LossConfig(perceptual_stages=1), tokenizer)
    values = terms(images, Draws(TIMES, NOISE, HIDDEN), out)
    x, noise, t = images.double(), NOISE.double(), TIMES.double()[:, None, None, None]
    x_t = (1 - t) * x + t * noise
    codes = F.normalize(out.features, dim=-1).sign() / 6**0.5
    predicted = tokenizer.decoder(x_t.float(), codes, TIMES, HIDDEN).double()
    close(out.predicted, predicted)
    close(values["flow"], ((predicted - (noise - x)) ** 2).mean())
    stages = terms.perceptual.distance.network.network.stages
    estimate, target = (stages(part.float(), num_stages=1)[0] for part in (x_t - t * predicted, x))
    estimate, target = (F.normalize(part.double(), dim=1) for part in (estimate, target))
    close(values["perceptual"], (estimate - target).square().sum(1).mean(), rtol=1e-3)


def bernoulli_entropy(p):
    return -(p * p.log() + (1 - p) * (1 - p).log())


def check_entropy_of_bits(stage):
    """Each bit of each position on its own: over a batch, sure of itself, and both values in use."""
    features = torch.randn(5, 4, 6, generator=generator(2))
    config = LossConfig(entropy_of="bits", entropy_temperature=0.7, entropy_codebook_weight=0.8, perceptual_weight=0)
    p = torch.sigmoid(4 * F.normalize(features.double(), dim=-1) / (0.7 * math.sqrt(6)))
    expected = (bernoulli_entropy(p).mean(0) - 0.8 * bernoulli_entropy(p.mean(0))).sum() / 4
    close(stage.LossTerms(config, None)._entropy(features), expected)


def check_entropy_of_codes(stage):
    """Joint codes of three bits, all enumerated, over tokens of all positions."""
    features = torch.randn(5, 4, 6, generator=generator(3))
    config = LossConfig(entropy_temperature=0.7, entropy_codebook_weight=0.8, entropy_group_bits=3, perceptual_weight=0)
    u = F.normalize(features.double(), dim=-1).reshape(20, 2, 3)
    codes = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 3) / math.sqrt(6)
    p = (2 * u @ codes.T / 0.7).softmax(-1)  # (tokens, groups, codes)
    entropy = -(p * p.log()).sum(-1).mean(0).sum()
    mean = p.mean(0)
    close(stage.LossTerms(config, None)._entropy(features), entropy + 0.8 * (mean * mean.log()).sum())


def check_alignment_is_two_cosines(alignment):
    a, b = (torch.randn(3, 2, 2, 5, generator=generator(seed)) for seed in (4, 5))
    c, d = (torch.randn(3, 5, generator=generator(seed)) for seed in (6, 7))
    value = alignment.alignment_loss(Targets(a, c), Targets(b, d))

    def cosine(one, other):
        one, other = one.double(), other.double()
        return (one * other).sum(-1) / (one.square().sum(-1) * other.square().sum(-1)).sqrt()

    close(value, (1 - cosine(a, b)).mean() + (1 - cosine(c, d)).mean())


def check_cached_targets_flip(alignment):
    """Image 2 as it is, image 0 flipped."""
    source = alignment.TargetSource.__new__(alignment.TargetSource)
    patches, pooled = torch.arange(6.0).view(2, 3, 1, 1, 1), torch.arange(6.0).view(2, 3, 1) + 10
    source.cache, source.device = {"patches": patches.half(), "pooled": pooled.half()}, torch.device("cpu")
    targets = source(MicroBatch(pictures(2), torch.tensor([2, 0]), torch.tensor([False, True])))
    assert targets.patches.flatten().tolist() == [2.0, 3.0]
    assert targets.pooled.flatten().tolist() == [12.0, 13.0]


def lively_decoder(module):
    """A decoder of the class in ``module``."""
    tokenizer = tiny_tokenizer()
    decoder = module.Decoder(1, 4, 4, 4, 6, width=16, depth=1, num_heads=2)
    decoder.load_state_dict(tokenizer.decoder.state_dict())
    return decoder.eval()


def check_decoder_sees_signs(module):
    """Codes of length 1 are embedded as +-1, so that their scale does not fall with their number of bits."""
    decoder = lively_decoder(module)
    seen = []
    decoder.embed_codes.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    codes = torch.randn(3, 4, 6, generator=generator(8)).sign()
    decoder(NOISE, codes / 6**0.5, TIMES)
    close(seen[0], codes)


def check_hidden_tokens_are_not_seen(module):
    """What is hidden changes nothing; what is not changes the answer."""
    decoder = lively_decoder(module)
    codes = torch.randn(3, 4, 6, generator=generator(9)).sign() / 6**0.5
    answer = decoder(NOISE, codes, TIMES, HIDDEN)
    assert torch.equal(answer, decoder(NOISE, torch.where(HIDDEN[..., None], -codes, codes), TIMES, HIDDEN))
    other = decoder(NOISE, torch.where(HIDDEN[..., None], codes, -codes), TIMES, HIDDEN)
    changed = (other - answer).abs().amax((1, 2, 3)) > 1e-4
    assert changed.tolist() == [True, True, False]


def check_hidden_part_is_a_suffix(draws):
    """A row of visible tokens, then of hidden ones; of the three kinds of images as many as asked for."""
    count, source = 4000, generator(10)
    rows = torch.stack([draws.hidden_tokens(8, (0.2, 0.3), source) for _ in range(count)])
    assert torch.equal(rows, rows.long().cummax(1).values.bool())
    bound = 5 * 0.5 / count**0.5
    assert abs((~rows.any(1)).double().mean() - 0.5) < bound
    assert abs(rows.all(1).double().mean() - 0.2) < bound
    assert not torch.stack([draws.hidden_tokens(3, (0.0, 1.0), source) for _ in range(200)]).all(1).any()
    part = rows[rows.any(1) & ~rows.all(1)].sum(1)
    assert set(part.tolist()) == set(range(1, 8))
    assert torch.stack([draws.hidden_tokens(8, (0.0, 0.0), source) for _ in range(50)]).sum() == 0


def check_times_shift_towards_the_noise(draws):
    t = torch.linspace(0, 1, 11)
    close(draws.shifted(t, 3.0), 3 * t.double() / (1 + 2 * t.double()))
    assert torch.equal(draws.shifted(t, 1.0), t)
    assert bool((draws.shifted(t, 3.0)[1:-1] > t[1:-1]).all())


def check_refiners_first_image(module):
    """Before any step: the decoder's own jump from noise (or its mean) to the image; or the sample as it is."""
    tokenizer = tiny_tokenizer()
    codes = torch.randn(3, 4, 6, generator=generator(11)).sign() / 6**0.5
    ones = torch.ones(3)
    first = {kind: module.Refiner(tokenizer.decoder, kind, 1, 16).eval() for kind in ("constant", "noise", "sample")}
    with torch.no_grad():
        close(first["constant"](NOISE, codes), -tokenizer.decoder(torch.zeros_like(NOISE), codes, ones))
        close(first["noise"](NOISE, codes), NOISE - tokenizer.decoder(NOISE, codes, ones))
        assert torch.equal(first["sample"](NOISE, codes), NOISE)


def check_sampler_follows_the_guided_velocity(model):
    """Euler on the grid ``(j / n) ** p`` by hand, the unconditional field being that with everything hidden."""
    from semtok.config import SamplerConfig

    tokenizer = tiny_tokenizer(model=model.SemTok)
    codes = torch.randn(3, 4, 6, generator=generator(12)).sign() / 6**0.5
    settings = SamplerConfig(num_steps=3, power=2.0, guidance=2.0, guidance_low=0.2, guidance_high=0.5)
    with torch.no_grad():
        x = NOISE
        for now, then, scale in ((1.0, 4 / 9, 1.0), (4 / 9, 1 / 9, 2.0), (1 / 9, 0.0, 1.0)):
            t = torch.full((3,), now)
            known = tokenizer.decoder(x, codes, t)
            unknown = tokenizer.decoder(x, codes, t, torch.ones(3, 4, dtype=torch.bool))
            x = x + (then - now) * (unknown + scale * (known - unknown))
        close(tokenizer.solve(codes, NOISE, settings), x)


def check_groups_hold_the_bits_in_order(module):
    """The groups of a token are those that the generator cuts its signs into."""
    groups_of = module.TokenGroups(6, 2)
    tokens = torch.arange(64).view(16, 4)
    signs = ((tokens[..., None] >> torch.arange(6)) & 1) * 2 - 1
    groups = groups_of.split(tokens)
    assert torch.equal(groups, BitTokens(6, 2).to_groups(signs))
    assert torch.equal(groups_of.join(groups), tokens)


def check_sum_is_weighted(stage):
    config = LossConfig(perceptual_weight=0, flow_weight=0.7, entropy_weight=0.3, alignment_weight=0.2)
    terms = stage.LossTerms(config, SimpleNamespace())
    values = {"flow": torch.tensor(2.0), "entropy": torch.tensor(-3.0), "alignment": torch.tensor(5.0)}
    close(terms.total(values), torch.tensor(0.7 * 2 - 0.3 * 3 + 0.2 * 5))
