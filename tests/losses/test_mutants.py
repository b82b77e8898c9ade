"""Planted bugs: each must make the named check fail."""

import pytest

from _support import adversarial_checks as adversarial
from _support import entropy_checks as entropy
from _support import relation_checks as relation
from _support import term_checks as terms
from _support.mutants import mutated

# fmt: off
MUTANTS = [
    # histogram relation
    ("histogram_relation", "power = 1.0 if", "power = 2.0 if", relation.histogram_is_that_of_the_paper),
    ("histogram_relation", "torch.linspace(-1.0, 1.0, bins,", "torch.linspace(0.0, 1.0, bins,",
     relation.histogram_by_hand),
    ("histogram_relation", "- teacher * log_student).sum()", "- teacher * log_student).mean()",
     relation.histogram_by_hand),
    ("histogram_relation", "- teacher * log_student).sum()", "+ teacher * log_student).sum()",
     relation.only_histograms_matter),
    ("histogram_relation", "+ (wide * 0.0).sum()", "", relation.a_non_finite_code_shows),
    ("histogram_relation", "unit = unit_directions(wide, dim=1)", "unit = wide / wide.norm(dim=1, keepdim=True)",
     relation.degenerate_codebooks_stay_finite),
    ("histogram_relation", "histogram = widen(teacher.detach())", "histogram = widen(teacher)",
     relation.a_teacher_is_a_constant),
    ("histogram_relation", "return histogram / size", "return histogram", relation.only_histograms_matter),
    ("_pair_blocks", "range(rows.stop, n, side)", "range(start, n, side)", relation.blocks_change_nothing),
    ("_pair_blocks", "max(1, int(block_elements**0.5))", "block_elements", relation.blocks_change_nothing),
    ("_directions", "is_zero = largest < SMALLEST_COMPONENT", "is_zero = largest < 0",
     relation.a_zero_row_is_orthogonal_and_gets_no_gradient),
    ("_exact_pairs", "ones.tril(-1 if include_diagonal else 0)", "ones.tril(0)",
     relation.histogram_is_that_of_the_paper),
    ("_exact_pairs", "log_sums = torch.logaddexp(log_sums, torch.stack(sums))", "log_sums = torch.stack(sums)",
     relation.loss_and_gradient_are_those_of_float64),
    ("_exact_pairs", "gradient[columns] += slope.T @ unit[rows]", "pass",
     relation.loss_and_gradient_are_those_of_float64),
    ("_exact_pairs", "-2.0 * alpha * weight", "2.0 * alpha * weight", relation.loss_and_gradient_are_those_of_float64),
    ("_counted_pairs", "total.add_(count(index, position), alpha=2.0)", "total.add_(count(index, position))",
     relation.loss_and_gradient_are_those_of_float64),
    ("_counted_pairs", "alpha=1.0 if include_diagonal else -1.0", "alpha=-1.0",
     relation.histogram_is_that_of_the_paper),
    ("_counted_pairs", "weights[:-1] += number - moment", "weights[:-1] += number",
     relation.histogram_is_that_of_the_paper),
    ("_counted_pairs", "CELLS - 2.0**-9)", "CELLS - 0.5)", relation.histogram_is_that_of_the_paper),
    ("_counted_pairs", "CELLS = 16384", "CELLS = 64", relation.loss_and_gradient_are_those_of_float64),
    ("_counted_pairs", "low = (2.0 * closest.square() - 1.0 - _MARGIN)", "low = (0.0 * closest - 1.0)",
     relation.clustered_codebooks_are_as_accurate),
    ("_counted_pairs", "gradient[:, rows] += turned[:, columns] @ slope.T", "pass",
     relation.loss_and_gradient_are_those_of_float64),
    ("_counted_pairs", "torch.addcmul(value, increment, position, out=position)", "value.clone()",
     relation.clustered_codebooks_are_as_accurate),
    # two tensors
    ("quantization", "codebook + beta * commitment", "beta * codebook + commitment",
     terms.beta_sits_on_the_commitment_term),
    ("quantization", "F.mse_loss(z_q, z_e.detach())", "F.mse_loss(z_q, z_e)", terms.beta_sits_on_the_commitment_term),
    ("quantization", "F.mse_loss(z_e, z_q.detach())", "F.mse_loss(z_e, z_q)", terms.beta_sits_on_the_commitment_term),
    ("quantization", "F.mse_loss(z_e, z_q.detach())", 'F.mse_loss(z_e, z_q.detach(), reduction="sum")',
     terms.codebook_commitment_by_hand),
    ("residual", "widen(target.detach()) - code", "widen(target) - code", terms.residual_gradient_takes_the_chosen_way),
    ("residual", "quantized.detach() if detach_quantized else quantized", "quantized",
     terms.residual_gradient_takes_the_chosen_way),
    ("residual", "- code - widen(residual)", "- code + widen(residual)",
     terms.residual_forms_are_those_of_the_equation),
    ("residual", "difference.flatten(1) if difference.ndim > 1 else difference", "difference",
     terms.residual_forms_are_those_of_the_equation),
    ("reconstruction", "return difference.square().mean()", "return difference.square().sum()",
     terms.reconstruction_kinds_are_means),
    ("reconstruction", "+ eps * eps", "+ eps", terms.reconstruction_kinds_are_means),
    ("chroma", "difference).square().mean()", "difference).square().sum()", terms.chroma_by_hand),
    ("chroma", "(0.5, -0.418688, -0.081312)", "(-0.081312, -0.418688, 0.5)",
     terms.chroma_is_the_mean_square_of_cb_and_cr),
    ("chroma", "-0.168736, -0.331264, 0.5)", "-0.168736, -0.331264, 0.0)",
     terms.chroma_is_the_mean_square_of_cb_and_cr),
    ("chroma", "widen(target)", "widen(target.detach())", terms.chroma_is_the_mean_square_of_cb_and_cr),
    ("disentanglement", ".square().mean()", ".mean()", terms.disentanglement_is_the_mean_squared_cosine),
    ("disentanglement", "b = unit_directions(widen(codes_b), dim=channel_dim)", "b = widen(codes_b)",
     terms.disentanglement_is_the_mean_squared_cosine),
    ("alignment", "b = unit_directions(widen(target.detach())", "b = unit_directions(widen(target)",
     terms.patch_alignment_is_one_minus_the_mean_cosine),
    ("alignment", "rows.flatten(2).mean(dim=2)", "rows.flatten(2).amax(dim=2)",
     terms.pooled_alignment_compares_the_mean_feature),
    ("contrastive", "@ candidates.to(a.dtype).T / temperature", "@ candidates.to(a.dtype).T * temperature",
     terms.contrastive_is_info_nce),
    ("contrastive", "b = unit_directions(widen(target.detach()), dim=1)", "b = widen(target.detach())",
     terms.contrastive_is_info_nce),
    ("perceptual", "[1.0 / len(features_a)] * len(features_a)", "[1.0] * len(features_a)",
     terms.perceptual_sums_its_weighted_stages),
    ("perceptual", "features / (norm + 1e-10)", "features", terms.perceptual_sums_its_weighted_stages),
    ("perceptual", "torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)", "squared.sqrt()",
     terms.perceptual_sums_its_weighted_stages),
    ("_frozen", "return super().train(False)", "return super().train(mode)", terms.the_perceptual_network_is_frozen),
    ("_frozen", "network.requires_grad_(False).eval()", "network.eval()", terms.the_perceptual_network_is_frozen),
    ("lpips", "_SHIFT = (-0.030, -0.088, -0.188)", "_SHIFT = (0.030, -0.088, -0.188)",
     terms.lpips_is_the_published_formula),
    ("lpips", "stage_distance(widen(a), widen(b), widen(head))", "stage_distance(widen(a), widen(b))",
     terms.lpips_is_the_published_formula),
    ("lpips", "* (2.0 / (high - low)) - 1.0", "* (2.0 / (high - low))", terms.lpips_is_the_published_formula),
    # adversarial
    ("adversarial", "F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean()",
     "F.relu(1.0 - fake).mean() + F.relu(1.0 + real).mean()", adversarial.each_side_pulls_the_logits_its_own_way),
    ("adversarial", "0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())",
     "0.5 * (F.softplus(real).mean() + F.softplus(-fake).mean())", adversarial.each_side_pulls_the_logits_its_own_way),
    ("adversarial", "0.5 * (F.relu", "1.0 * (F.relu", adversarial.discriminator_values_are_those_of_the_papers),
    ("adversarial", "return F.softplus(-fake).mean()", "return -fake.mean()",
     adversarial.generator_values_are_those_of_the_papers),
    ("adversarial", "return -F.softplus(fake).mean()", "return F.softplus(fake).mean()",
     adversarial.generator_values_are_those_of_the_papers),
    ("adaptive_weight", "sizes[0] / (sizes[1] + eps)", "sizes[1] / (sizes[0] + eps)",
     adversarial.adaptive_weight_is_the_ratio_of_gradients),
    ("adaptive_weight", ".clamp(0.0, max_weight)", "", adversarial.adaptive_weight_is_the_ratio_of_gradients),
    ("adaptive_weight", "torch.where(both_finite, weight, torch.zeros_like(weight))", "weight",
     adversarial.adaptive_weight_stops_at_a_non_finite_gradient),
    ("lecam", "widen(real_logits) - widen(fake_mean.detach())", "widen(real_logits) - widen(real_mean.detach())",
     adversarial.lecam_is_the_distance_from_the_other_mean),
    ("lecam", "decay = self.decay * self.started", "decay = self.decay", adversarial.lecam_means_run),
    ("lecam", "if self.training:", "if True:", adversarial.lecam_means_run),
    ("gradient_penalty", "return 0.5 * wide", "return wide", adversarial.r1_is_half_the_squared_slope),
    ("gradient_penalty", ".flatten(1).mean(dim=1)", ".flatten(1).sum(dim=1)", adversarial.r1_is_half_the_squared_slope),
    ("patchgan", "min(2**level, 8)", "2 * level", adversarial.patchgan_has_the_published_layers),
    ("patchgan", "2 if level < num_layers else 1", "2", adversarial.patchgan_has_the_published_layers),
    ("patchgan", "2 ** (num_layers + 1) + 2**num_layers", "2 ** (num_layers + 1)",
     adversarial.patchgan_takes_the_smallest_image),
    ("patchgan", "layer.weight.normal_(0.0, 0.02, generator=generator)", "pass",
     adversarial.patchgan_has_the_published_layers),
    ("feature_discriminator", 'padding_mode="circular"', 'padding_mode="zeros"',
     adversarial.feature_discriminator_scores_each_image_alone),
    # entropy
    ("entropy", "(2.0 * rows @ codes.T - codes", "(rows @ codes.T - codes",
     entropy.vector_terms_are_those_of_all_codes),
    ("entropy", "sample / tokens.shape[0]", "sample", entropy.vector_terms_are_those_of_all_codes),
    ("entropy", "terms.sample - codebook_weight", "terms.sample + codebook_weight",
     entropy.vector_terms_are_those_of_all_codes),
    ("entropy", ".clamp_min(torch.finfo(probability.dtype).tiny)", "", entropy.extreme_logits_stay_finite),
    ("_token_blocks", "token_gradient[rows] = block_gradient", "token_gradient[rows] = 0",
     entropy.token_blocks_change_nothing),
    ("bit_entropy", "widen(u) * (4.0 / temperature)", "widen(u) * (2.0 / temperature)",
     entropy.bit_terms_are_those_of_all_corners),
    ("bit_entropy", ".to(logits.dtype) - 0.5", ".to(logits.dtype) * 2 - 1", entropy.bit_terms_are_those_of_all_corners),
    ("bit_entropy", "F.softplus(-distance) + distance", "F.softplus(distance) + distance", entropy.bits_by_hand),
    ("bit_entropy", "temperature * v.shape[channel_dim] ** 0.5", "temperature",
     entropy.sphere_terms_are_those_of_all_corners),
    ("bit_entropy", "plogp(ones / ones.sum(dim=0).detach())", "plogp(ones)", entropy.groups_add_up),
    ("bit_entropy", "codebook = codebook - plogp", "codebook = -plogp", entropy.groups_add_up),
]
# fmt: on


@pytest.mark.parametrize(("module", "old", "new", "check"), MUTANTS)
def test_a_planted_bug_is_found(module, old, new, check):
    with mutated("vistok.losses", module, old, new) as losses:
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever way the check fails
            check(losses)


@pytest.mark.parametrize("check", sorted({mutant[3] for mutant in MUTANTS}, key=lambda check: check.__name__))
def test_the_same_check_passes_without_a_bug(check):
    with mutated("vistok.losses", "residual", "one branch: a tokenizer", "one branch: a tokenizer") as losses:
        check(losses)
