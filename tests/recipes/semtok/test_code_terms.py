"""The terms of codes, from their definitions in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from _support.mutants import catches
from _support.semtok_runs import generator, pictures, tiny_tokenizer
from semtok.code_terms import bit_entropy, code_terms
from semtok.config import LossConfig
from semtok.draws import Draws
from semtok.quantizer import FiniteScalarConfig, LookupFreeConfig, VectorConfig
from semtok.train_tokenizer import LossTerms

SUBJECT = "semtok.code_terms"
CONFIG = LossConfig(entropy_temperature=0.7, entropy_codebook_weight=0.8, entropy_group_bits=3, perceptual_weight=0)


def passed(quantizer):
    tokenizer = tiny_tokenizer(quantizer=quantizer)
    noise = torch.randn(3, 1, 16, 16, generator=generator(1))
    draws = Draws(torch.full((3,), 0.5), noise, torch.zeros(3, 4, dtype=torch.bool))
    return tokenizer, draws, tokenizer(pictures(), draws)


def entropy_of(p):
    return -(p * p.log()).sum(-1)


def close(a, b):
    torch.testing.assert_close(a.double(), b.double(), rtol=1e-4, atol=1e-5)


def on_cube_or_sphere(features, on_sphere):
    """Where LFQ's codes of -1 and 1 are, or BSQ's of unit length; and how long a side of the cube is there."""
    features = features.double()
    return (F.normalize(features, dim=-1), 1 / math.sqrt(6)) if on_sphere else (features, 1.0)


@catches(SUBJECT, "features.flatten(1), temperature", "features.flatten(0, 1), temperature")
@catches(SUBJECT, "total / features.shape[1]", "total")
@catches(SUBJECT, "temperature * features.shape[-1] ** 0.5", "temperature")
@catches(SUBJECT, "    if on_sphere:  #", "    if not on_sphere:  #")
def test_entropy_of_bits_is_that_of_each_bit_of_each_position_on_its_own():
    """Over a batch: sure of itself, and both values in use."""
    features = torch.randn(5, 4, 6, generator=generator(2))
    for on_sphere in (False, True):
        u, side = on_cube_or_sphere(features, on_sphere)
        p = torch.sigmoid(4 * u * side / 0.7)
        p = torch.stack([p, 1 - p], dim=-1)
        expected = (entropy_of(p).mean(0) - 0.8 * entropy_of(p.mean(0))).sum() / 4
        config = CONFIG.model_copy(update={"entropy_of": "bits"})
        close(bit_entropy(features, config, on_sphere=on_sphere), expected)


@catches(SUBJECT, "group_bits=config.entropy_group_bits", "group_bits=6")
@catches(SUBJECT, "binary_spherical_entropy_loss if on_sphere", "lookup_free_entropy_loss if on_sphere")
def test_entropy_of_codes_is_that_of_the_joint_codes_of_a_group():
    """Of three bits, all enumerated, over tokens of all positions."""
    features = 0.3 * torch.randn(5, 4, 6, generator=generator(3))
    for on_sphere in (False, True):
        u, side = on_cube_or_sphere(features, on_sphere)
        codes = side * torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 3)
        p = (2 * u.reshape(20, 2, 3) @ codes.T / 0.7).softmax(-1)
        expected = (entropy_of(p).mean(0) - 0.8 * entropy_of(p.mean(0))).sum()
        close(bit_entropy(features, CONFIG, on_sphere=on_sphere), expected)


@catches(SUBJECT, "features = tokenizer.quantizer.to_code_space(out.features)", "features = out.features")
@catches(SUBJECT, "beta=config.beta", "beta=1.0")
@catches(SUBJECT, "(features, out.codes, beta", "(features, out.quantized, beta")
def test_learned_codes_and_features_are_drawn_together():
    """The mean square between unit features and their codes, beta of it to the features and all of it to the codes."""
    tokenizer, _, out = passed(VectorConfig(kind="vector", codebook_size=12, dim=5))
    terms = code_terms(CONFIG, tokenizer, out)
    assert set(terms) == {"quantization"}
    unit = torch.nn.functional.normalize(out.features.double(), dim=-1)
    codes = torch.nn.functional.normalize(tokenizer.quantizer.codebook.double(), dim=-1)
    distances = torch.cdist(unit.flatten(0, 1), codes).square().amin(-1)
    close(terms["quantization"], 1.25 * distances.sum() / out.features.numel())
    terms["quantization"].backward()
    assert tokenizer.quantizer.codebook.grad.abs().sum() > 0
    assert tokenizer.encoder.queries.grad.abs().sum() > 0


def test_each_kind_has_the_terms_that_it_needs():
    names = {}
    for quantizer in (LookupFreeConfig(kind="lfq"), FiniteScalarConfig(kind="fsq", levels=(5, 3)), None):
        tokenizer, draws, out = passed(quantizer or tiny_tokenizer().settings.quantizer)
        values = LossTerms(CONFIG, tokenizer)(pictures(), draws, out)
        names[tokenizer.settings.quantizer.kind] = list(values)
        assert all(value.isfinite() and value.ndim == 0 for value in values.values())
    assert names == {"lfq": ["flow", "entropy", "quantization"], "fsq": ["flow"], "bsq": ["flow", "entropy"]}


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_signs_take_the_commitment_alone(beta):
    tokenizer, _, out = passed(LookupFreeConfig(kind="lfq"))
    config = CONFIG.model_copy(update={"beta": beta})
    code_terms(config, tokenizer, out)["quantization"].backward()
    assert bool(tokenizer.encoder.to_bits.bias.grad.any()) == (beta > 0)
