"""Planted bugs: each must make the named check fail."""

import importlib

import pytest

from _support import fixed_quantizer_checks as fixed
from _support import quantizer_checks as learned
from _support.mutants import mutated

MUTANTS = [
    # the search
    ("nearest", "mul_(-0.5)", "mul_(0.5)", learned.search_finds_the_nearest_code),
    ("nearest", "mul_(-0.5)", "mul_(-1.0)", learned.search_finds_the_nearest_code),
    ("nearest", "codebook = unit(codebook)", "pass", learned.search_finds_the_nearest_code),
    ("nearest", "if full < size:", "if False:", learned.search_finds_the_nearest_code),
    ("nearest", "groups[-1] = torch", "groups[0] = torch", learned.search_finds_the_nearest_code),
    ("nearest", "groups[start // GROUP : stop", "groups[: (stop - start)", learned.block_sizes_change_nothing),
    ("nearest", "range(0, full, step)", "range(0, full - step + 1, step)",
     learned.search_finds_the_nearest_code),
    ("nearest", "groups.max(0).indices", "groups.flip(0).max(0).indices",
     learned.the_lowest_of_equal_codes_wins),
    ("nearest", "groups.max(0).indices", "len(groups) - 1 - groups.flip(0).max(0).indices",
     learned.the_lowest_of_equal_codes_wins),
    ("nearest", "again.max(1).indices", "GROUP - 1 - again.flip(1).max(1).indices",
     learned.the_lowest_of_equal_codes_wins),
    ("nearest", "rows, codebook = rows - centre, codebook - centre", "pass",
     learned.search_keeps_its_digits_far_from_the_origin),
    ("nearest", "torch.round(mean / unit_of_grid) * unit_of_grid", "mean", learned.block_sizes_change_nothing),
    # the shared path
    ("quantized", "codes.detach() + (z - z.detach())", "codes + (z - z.detach())",
     learned.gradients_take_their_own_ways),
    ("quantized", "codes.detach() + (z - z.detach())", "codes.detach() + (z - z).detach()",
     learned.gradients_take_their_own_ways),
    ("_tokens", "features.detach().reshape(-1, features.shape[-1])",
     "features.detach().mT.reshape(-1, features.shape[-1])", learned.codes_are_the_rows_of_the_indices),
    ("_tokens", 'float("nan")', "0.0", learned.tokens_that_are_not_finite_stay_out_of_the_statistics),
    ("_tokens", "rows = torch.where(finite.unsqueeze(1), rows, 0.0)", "pass",
     learned.tokens_that_are_not_finite_stay_out_of_the_statistics),
    ("_rows", "return rows.movedim(-1, channel_dim)", "return rows.movedim(0, channel_dim)",
     learned.codes_are_the_rows_of_the_indices),
    ("_precision", "length.clamp_min(SMALLEST_LENGTH)", "length.square().clamp_min(SMALLEST_LENGTH)",
     learned.lookup_by_hand),
    # the moving average
    ("vector", "self.ema_count.dtype), 1 - self.decay)", "self.ema_count.dtype), self.decay)",
     learned.moving_average_follows_the_paper),
    ("vector", "self.ema_sum.lerp_(total, 1 - self.decay)", "self.ema_sum.add_(total)",
     learned.moving_average_follows_the_paper),
    ("vector", "torch.where(used.unsqueeze(1), moved, self.weight)", "moved + 0.01 * ~used.unsqueeze(1)",
     learned.moving_average_by_hand),
    ("vector", "            self.pending_sum.zero_()\n        self.", "            pass\n        self.",
     learned.moving_average_follows_the_paper),
    ("vector", "masked_fill_(used, 0)\n        self.pending_count.zero_()", "masked_fill_(used, 0)",
     learned.moving_average_follows_the_paper),
    ("vector", "self.pending_count.index_add_(0, tokens.indices, tokens.finite.long())",
     "self.pending_count.zero_().index_add_(0, tokens.indices, tokens.finite.long())",
     learned.accumulated_batches_count_as_one),
    ("vector", "tokens.finite.long()", "torch.ones_like(tokens.indices)",
     learned.tokens_that_are_not_finite_stay_out_of_the_statistics),
    ("vector", "if self.training and not self.frozen:", "if not self.frozen:",
     learned.evaluation_and_freezing_change_nothing),
    ("vector", "if self.training and not self.frozen:", "if self.training:",
     learned.evaluation_and_freezing_change_nothing),
    # revival
    ("vector", "[self.steps_unused[oldest] >= after]", "", learned.revival_replaces_only_dead_codes),
    ("vector", "sort(descending=True, stable=True)", "sort(stable=True)", learned.revival_replaces_only_dead_codes),
    ("vector", "self.ema_count.index_fill_(0, codes, 1.0)", "pass", learned.revival_replaces_only_dead_codes),
    ("vector", "self.ema_sum.index_copy_(0, codes, features.to(self.ema_sum.dtype))", "pass",
     learned.revival_replaces_only_dead_codes),
    ("vector", "self.steps_unused.index_fill_(0, codes, 0)", "pass", learned.revival_replaces_only_dead_codes),
    ("vector", "            dead = dead[:0]\n", "            pass\n", learned.evaluation_and_freezing_change_nothing),
    # k-means
    ("k_means", "mean = total / count.clamp_min(1)", "mean = total / rows.shape[0]", learned.k_means_by_hand),
    ("k_means", "rows = rows_of_all_ranks(finite_rows(rows))", "rows = rows_of_all_ranks(rows)",
     learned.k_means_by_hand),
    ("k_means", 'unit(mean) if metric == "cosine" else mean', "mean", learned.k_means_never_increases_the_error),
    # fixed codes
    ("binary_spherical", "math.sqrt(self.bits)", "self.bits", fixed.sphere_codes_are_the_nearest_corners),
    ("binary_spherical", "rows > 0", "rows >= 0", fixed.sphere_groups_hold_the_lowest_bits_first),
    ("binary_spherical", "return unit(x.float())", "return x.float()", fixed.sphere_gradient_goes_to_the_direction),
    ("_bits", "bits.unflatten(-1, (num_groups, -1))", "bits.unflatten(-1, (-1, num_groups)).mT",
     fixed.sphere_groups_hold_the_lowest_bits_first),
    # index backpropagation
    ("index_backpropagation", 'metric="dot"', 'metric="euclidean"',
     fixed.index_backpropagation_has_the_gradient_of_the_dense_formula),
    ("index_backpropagation", "towards.sub_(mean)", "towards",
     fixed.index_backpropagation_has_the_gradient_of_the_dense_formula),
    ("index_backpropagation", "mul_(towards.sub_(mean)).div_(ctx.temperature)", "mul_(towards.sub_(mean))",
     fixed.index_backpropagation_has_the_gradient_of_the_dense_formula),
    ("index_backpropagation", "(hard + through_softmax", "(hard.detach() + through_softmax",
     fixed.index_backpropagation_has_the_gradient_of_the_dense_formula),
    # projected codebook, usage, residual, dual
    ("projected", "F.linear(codes.float(), self.projection.float())", "codes.float() @ self.projection.float()",
     fixed.projection_alone_learns),
    ("usage", "torch.special.entr(p).sum(1).exp()", "torch.special.entr(p).sum(1).exp2()", fixed.usage_by_hand),
    ("usage", "usage=(counts > 0).double().mean(1)", "usage=(counts > 1).double().mean(1) * 8 / 7",
     fixed.usage_by_hand),
    ("usage", "codes >> bit & 1", "codes >> (bits - 1 - bit) & 1", fixed.usage_by_hand),
    ("usage", "counts.index_add_(0, column, torch.ones_like(column))", "counts.index_fill_(0, column, 1)",
     fixed.usage_streams_and_keeps_codebooks_apart),
    ("residual_recovery", "nn.init.zeros_(self.project_out.weight)", "pass",
     fixed.residual_recovery_starts_at_zero_and_matches_its_formula),
    ("residual_recovery", "x = x + self._attend(self.norm_attention(x))", "x = x + self._attend(x)",
     fixed.residual_recovery_starts_at_zero_and_matches_its_formula),
    ("residual_recovery", "+ self._positions_of(quantized.shape[2:])", "",
     fixed.residual_recovery_starts_at_zero_and_matches_its_formula),
    ("dual", "DualQuantized(self.semantic(z_semantic), self.visual(z_visual))",
     "DualQuantized(self.semantic(z_visual), self.visual(z_semantic))",
     fixed.each_branch_of_the_dual_quantizer_has_its_codebook),
    ("dual", "        self.semantic.update()\n", "", fixed.each_branch_of_the_dual_quantizer_has_its_codebook),
]  # fmt: skip


@pytest.mark.parametrize(("module", "old", "new", "check"), MUTANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_check_kills_the_mutant(module, old, new, check):
    with mutated("vistok.quantizers", module, old, new) as package:
        with pytest.raises((AssertionError, RuntimeError, ValueError)):
            check(package)


def test_an_unchanged_copy_passes_and_the_real_package_comes_back():
    real = importlib.import_module("vistok.quantizers")
    with mutated("vistok.quantizers", "nearest", "mul_(-0.5)", "mul_(-0.50)") as package:
        assert package is not real
        learned.search_finds_the_nearest_code(package)
    assert importlib.import_module("vistok.quantizers") is real
