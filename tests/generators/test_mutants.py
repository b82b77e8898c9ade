"""Planted bugs: each must make the named check fail."""

import importlib

import pytest

from _support import far_checks as far
from _support import flow_checks as flow
from _support import layer_checks as layer
from _support import masked_checks as masked
from _support import xar_checks as xar
from _support.mutants import mutated

MUTANTS = [
    # flow, solvers, guidance
    (
        "flow_matching",
        "(1 - t) * x + t * noise, noise - x",
        "(1 - t) * x + t * noise, x - noise",
        flow.conversions_invert_each_other,
    ),
    (
        "flow_matching",
        "return -(x_t + (1 - t) * velocity) / t",
        "return -(x_t + t * velocity) / t",
        flow.conversions_invert_each_other,
    ),
    ("flow_matching", "generator).sigmoid()", "generator).sigmoid().square()", flow.training_times_are_logit_normal),
    (
        "solvers",
        "(slope + velocity(x + step * slope, then)) / 2",
        "(slope + velocity(x + step * slope, now)) / 2",
        flow.heun_error_falls_with_order_two,
    ),
    ("solvers", "0.5 * weight * velocity_to_score", "weight * velocity_to_score", flow.one_sde_step_by_hand),
    ("solvers", "(weight * -step) ** 0.5", "weight * (-step) ** 0.5", flow.one_sde_step_by_hand),
    ("solvers", "if index < len(grid) - 2:", "if index < len(grid) - 1:", flow.one_sde_step_by_hand),
    (
        "solvers",
        'torch.linspace(1, last, _positive(num_steps), dtype=torch.float64, device="cpu")',
        'torch.linspace(1, last, _positive(num_steps) + 1, dtype=torch.float64, device="cpu")',
        flow.the_published_grid_ends_with_one_jump,
    ),
    (
        "guidance",
        "return unconditional + scale * (conditional - unconditional)",
        "return conditional + scale * (conditional - unconditional)",
        flow.guidance_schedules_by_hand,
    ),
    ("guidance", "return cls(scale + 1,", "return cls(scale,", flow.the_other_convention_converts),
    # layers
    ("attention", "attn_mask=mask, is_causal=causal", "attn_mask=mask", layer.attention_is_the_softmax_average),
    ("normalization", "weight, self.eps)", "weight, 1e-8)", layer.rms_norm_follows_its_equation),
    ("feed_forward", 'F.silu if gate == "silu" else F.gelu', "F.silu", layer.the_gate_is_what_its_name_says),
    (
        "rotary",
        "odd * cos + even * sin",
        "odd * cos - even * sin",
        layer.rotation_turns_pairs_by_position_times_frequency,
    ),
    (
        "rotary",
        "torch.cat([row, column], dim=-2)",
        "torch.cat([column, row], dim=-2)",
        layer.the_first_half_of_a_head_turns_with_the_row,
    ),
    (
        "modulation",
        "torch.addcmul(shift, x, scale + 1)",
        "torch.addcmul(shift, x, scale)",
        layer.modulation_shifts_after_scaling,
    ),
    ("time_embedding", "scaled.trunc()", "scaled.round()", layer.time_embedding_follows_its_equation),
    (
        "label_embedding",
        "if self.training and self.drop_prob > 0:",
        "if self.drop_prob > 0:",
        layer.labels_are_dropped_at_their_rate_and_only_in_training,
    ),
    ("double_stream", "self.query_norm(qkv[0])", "qkv[0]", layer.the_double_stream_is_one_attention_over_both),
    ("double_stream", "shifts[5] * out", "shifts[2] * out", layer.the_double_stream_is_one_attention_over_both),
    # xAR
    (
        "cells",
        "cell[:, None] >= cell[None, :]",
        "cell[:, None] <= cell[None, :]",
        xar.later_cells_change_nothing_before_them,
    ),
    (
        "cells",
        "cell[:, None] >= cell[None, :]",
        "cell[:, None] == cell[None, :]",
        xar.every_earlier_cell_and_the_own_one_are_seen,
    ),
    ("cells", "permute(0, 2, 1, 3)", "permute(2, 0, 1, 3)", xar.cells_go_there_and_back),
    ("xar", "t[:, :, None, None]", "t[:, :1, None, None]", xar.the_loss_is_flow_matching_with_a_time_for_each_cell),
    (
        "xar",
        "(velocity - sample.velocity).square()",
        "(velocity - cells).square()",
        xar.the_loss_is_flow_matching_with_a_time_for_each_cell,
    ),
    (
        "xar",
        'schedule = as_guidance(guidance, "linear")',
        'schedule = as_guidance(guidance, "constant")',
        xar.guidance_grows_over_the_cells,
    ),
    ("xar", "num_heads)[order]", "num_heads)", xar.rotation_follows_the_place_of_a_token),
    (
        "_xar_sampling",
        "self._run(x, 0.0, index, len(x))",
        "self._run(x, 1.0, index, len(x))",
        xar.sampling_follows_the_published_steps,
    ),
    (
        "_xar_sampling",
        "guidance.at(n / last if last else 1.0)",
        "guidance.at((n + 1) / (last + 1))",
        xar.guidance_grows_over_the_cells,
    ),
    (
        "_xar_sampling",
        "torch.full_like(labels, model.null_label)",
        "labels",
        xar.guidance_one_is_no_guidance_and_zero_is_the_null_label,
    ),
    ("_xar_sampling", "context.finish(x, index)", "pass", xar.sampling_follows_the_published_steps),
    (
        "_xar_block",
        "gate_a, gate_m, scale_a, scale_m, shift_a, shift_m = (",
        "gate_a, gate_m, shift_a, shift_m, scale_a, scale_m = (",
        xar.one_block_follows_its_equations,
    ),
    ("_xar_block", "x = torch.addcmul(x, attended, gate_a)", "x = x + attended", xar.one_block_follows_its_equations),
    (
        "kv_cache",
        "self.values[:batch, :, start:end] = value",
        "self.values[:batch, :, start:end] = key",
        xar.cached_and_uncached_sampling_agree,
    ),
    # FAR
    ("_causal_block", "causal=tokens > 1", "causal=False", far.later_tokens_change_nothing_before_them),
    ("far", "self.embed(tokens[:, :-1])", "self.embed(tokens[:, 1:])", far.later_tokens_change_nothing_before_them),
    (
        "far",
        "torch.stack([context, *known], dim=2)",
        "torch.stack([context, *known[::-1]], dim=2)",
        far.later_tokens_change_nothing_before_them,
    ),
    (
        "far",
        "return torch.stack(terms).mean()",
        "return torch.stack(terms).sum()",
        far.the_loss_is_the_mean_negative_log_likelihood,
    ),
    ("far", "return tokens[..., list(self.inverse_order)]", "return tokens", far.the_stream_order_only_renames_streams),
    ("far", 'if self.options.prefix_rotation == "identity":', "if True:", far.the_class_token_turns_as_asked),
    ("far", "rows = max(rows,", "rows = min(rows,", far.more_streams_than_positions_have_turns_of_their_own),
    (
        "_far_sampling",
        "table = model.rotary[start : position + 1]",
        "table = model.rotary[: position + 1 - start]",
        far.greedy_tokens_are_the_argmax_of_forward,
    ),
    (
        "_far_sampling",
        "range(max(start, 1) - 1, stream)",
        "range(max(start, 1), stream)",
        far.greedy_tokens_are_the_argmax_of_forward,
    ),
    (
        "_far_sampling",
        "guide(conditional, unconditional, scale)",
        "guide(unconditional, conditional, scale)",
        far.guided_tokens_are_the_argmax_of_guided_logits,
    ),
    (
        "token_sampling",
        "mass.cumsum(dim=-1) - mass >= top_p",
        "mass.cumsum(dim=-1) >= top_p",
        far.top_p_keeps_the_shortest_run_that_reaches_the_mass,
    ),
    ("token_sampling", "logits < smallest", "logits <= smallest", far.top_k_keeps_the_k_largest),
    (
        "token_sampling",
        "logits.float() / temperature",
        "logits.float() * temperature",
        far.draws_follow_the_tempered_distribution,
    ),
    # masked AR
    (
        "masked_ar",
        "bits = bits.masked_fill(mask[..., None], 0).flatten(-2)",
        "bits = bits.flatten(-2)",
        masked.hidden_ids_do_not_show,
    ),
    (
        "masked_ar",
        "tokens[..., unit].masked_fill(mask[..., unit], size)",
        "tokens[..., unit]",
        masked.hidden_ids_do_not_show,
    ),
    (
        "masked_ar",
        "mask + ~mask * self.options.unmasked_weight",
        "mask + mask * self.options.unmasked_weight",
        masked.the_loss_is_the_mean_over_hidden_units,
    ),
    (
        "masked_ar",
        "(ratio * units).round().clamp_min(1)",
        "(ratio * units).floor()",
        masked.exact_masks_hide_the_rounded_number,
    ),
    ("masked_ar", "mask = score < ratio", "mask = score > ratio", masked.independent_masks_toss_a_coin_for_each_unit),
    ("masked_ar", "x = x + self.positions", "pass", masked.positions_are_told_apart),
    (
        "mask_schedules",
        "progress.clamp(0, 1).arccos() * (2 / math.pi)",
        "progress.clamp(0, 1).arccos() / math.pi",
        masked.schedules_by_hand,
    ),
    ("mask_schedules", "min(left - 1,", "min(left,", masked.every_step_fixes_something_and_the_last_fixes_all),
    (
        "_masked_sampling",
        "tokens = torch.where(mask, drawn, tokens)",
        "tokens = drawn",
        masked.sampling_never_reopens_and_fills_all_in_its_steps,
    ),
    (
        "_masked_sampling",
        "score = score.masked_fill(~mask.flatten(1), math.inf)",
        "pass",
        masked.sampling_never_reopens_and_fills_all_in_its_steps,
    ),
    (
        "_masked_sampling",
        "score = log_prob.flatten(1) + weight * noise",
        "score = -log_prob.flatten(1) + weight * noise",
        masked.the_most_confident_units_are_fixed_first,
    ),
    (
        "_masked_sampling",
        "score = log_prob.flatten(1) + weight * noise",
        "score = log_prob.flatten(1)",
        masked.gumbel_noise_shuffles_the_order,
    ),
    ("_masked_sampling", "1 - hidden / units", "hidden / units", masked.guidance_clocks_count_units_or_steps),
    ("_bidirectional_block", "1e-12", "1e-5", masked.norms_divide_by_the_spread_however_small),
    (
        "_bidirectional_block",
        "x = self.attention_norm(x + self._attend(x, table))",
        "x = self.attention_norm(self._attend(x, table))",
        masked.post_norm_block_follows_its_equations,
    ),
]


@pytest.mark.parametrize(
    ("module", "old", "new", "check"), MUTANTS, ids=[f"{m}-{number}" for number, (m, *_) in enumerate(MUTANTS)]
)
def test_a_planted_bug_is_caught(module, old, new, check):
    importlib.import_module("vistok.generators")
    with mutated("vistok.generators", module, old, new) as package:
        with pytest.raises((AssertionError, ValueError, IndexError, RuntimeError, TypeError)):
            check(package)
