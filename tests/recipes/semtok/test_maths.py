"""The recipe's formulas against their definitions in float64, and planted bugs that these checks must catch."""

import importlib

import pytest
import torch

from _support import semtok_checks as checks
from _support.semtok_runs import mutant

MODEL, STAGE, DRAWS = "semtok.model", "semtok.train_tokenizer", "semtok.draws"
ALIGNMENT, DECODER, REFINER, GENERATOR = "semtok.alignment", "semtok.decoder", "semtok.refiner", "semtok.generator"

CHECKS = {
    checks.check_flow_and_estimate: (MODEL, STAGE),
    checks.check_entropy_of_bits: (STAGE,),
    checks.check_entropy_of_codes: (STAGE,),
    checks.check_sum_is_weighted: (STAGE,),
    checks.check_alignment_is_two_cosines: (ALIGNMENT,),
    checks.check_cached_targets_flip: (ALIGNMENT,),
    checks.check_decoder_sees_signs: (DECODER,),
    checks.check_hidden_tokens_are_not_seen: (DECODER,),
    checks.check_hidden_part_is_a_suffix: (DRAWS,),
    checks.check_times_shift_towards_the_noise: (DRAWS,),
    checks.check_refiners_first_image: (REFINER,),
    checks.check_sampler_follows_the_guided_velocity: (MODEL,),
    checks.check_groups_hold_the_bits_in_order: (GENERATOR,),
}

MUTANTS = [
    (checks.check_flow_and_estimate, MODEL, "path.x_t, path.velocity", "path.x_t, -path.velocity"),
    (checks.check_flow_and_estimate, MODEL, "flow_path(x, draws.noise,", "flow_path(draws.noise, x,"),
    (checks.check_flow_and_estimate, MODEL, "quantized, draws.t, draws.hidden)", "encoded.features, draws.t)"),
    (checks.check_flow_and_estimate, STAGE, "out.x_t, draws.t[:", "out.x_t, 1 - draws.t[:"),
    (checks.check_flow_and_estimate, STAGE, "from_space(estimate)", "from_space(out.target)"),
    (checks.check_entropy_of_bits, STAGE, "_temperature * bits**0.5", "_temperature"),
    (checks.check_entropy_of_bits, STAGE, "total / num_tokens", "total"),
    (checks.check_entropy_of_bits, STAGE, "dim=-1).flatten(1)", "dim=-1).flatten(0, 1)"),
    (checks.check_entropy_of_codes, STAGE, "group_bits=config.entropy_group_bits", "group_bits=6"),
    (checks.check_sum_is_weighted, STAGE, "weighted_sum(terms, self.config)", "sum(terms.values())"),
    (checks.check_alignment_is_two_cosines, ALIGNMENT, "patches + patch_", "patches - patch_"),
    (checks.check_cached_targets_flip, ALIGNMENT, "batch.flips.long()", "torch.zeros_like(batch.indices)"),
    (checks.check_cached_targets_flip, ALIGNMENT, "batch.flips.long()", "1 - batch.flips.long()"),
    (checks.check_decoder_sees_signs, DECODER, "codes * codes.shape[-1] ** 0.5", "codes"),
    (checks.check_hidden_tokens_are_not_seen, DECODER, "where(hidden[", "where(~hidden["),
    (checks.check_hidden_tokens_are_not_seen, DECODER, "if hidden is not None", "if False"),
    (checks.check_hidden_part_is_a_suffix, DRAWS, ">= first", "< first"),
    (checks.check_hidden_part_is_a_suffix, DRAWS, "1 + int(place * (num_tokens - 1))", "int(place * num_tokens)"),
    (checks.check_hidden_part_is_a_suffix, DRAWS, "coin < everything + suffix", "coin < suffix"),
    (checks.check_times_shift_towards_the_noise, DRAWS, "shift * t / (1 +", "t / (shift -"),
    (checks.check_refiners_first_image, REFINER, "else start - out", "else start + out"),
    (checks.check_refiners_first_image, REFINER, '"sample" else 1.0', '"sample" else 0.0'),
    (checks.check_refiners_first_image, REFINER, "self.network.reset_output()", "pass"),
    (checks.check_sampler_follows_the_guided_velocity, MODEL, "torch.ones(codes", "torch.zeros(codes"),
    (checks.check_sampler_follows_the_guided_velocity, MODEL, "power=settings.power", "power=1.0"),
    (checks.check_sampler_follows_the_guided_velocity, MODEL, "settings.guidance_high)", "1.0)"),
    (checks.check_groups_hold_the_bits_in_order, GENERATOR, "device=device) * (", "device=device).flip(0) * ("),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_it_is_what_its_definition_says(check):
    check(*map(importlib.import_module, CHECKS[check]))


def short(value):
    return getattr(value, "__name__", str(value))[:40]


@pytest.mark.parametrize(("check", "module", "old", "new"), MUTANTS, ids=short)
def test_a_planted_bug_is_caught(check, module, old, new):
    changed = mutant(module, old, new)
    modules = [changed if name == module else importlib.import_module(name) for name in CHECKS[check]]
    with pytest.raises(AssertionError), torch.no_grad():
        check(*modules)
