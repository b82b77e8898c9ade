"""Masked autoregression: what sees what, the masks and the loss."""

import torch

from _support.mutants import catches
from _support.small_generators import LABELS, masked_tokens, masked_variants, small_masked
from _support.strategies import seeded
from vistok.generators import IdTokens, MaskedAR, MaskedAROptions

SUBJECT = "vistok.generators.masked_ar"


@catches(SUBJECT, "bits = bits.masked_fill(mask[..., None], 0).flatten(-2)", "bits = bits.flatten(-2)")
@catches(SUBJECT, "tokens[..., unit].masked_fill(mask[..., unit], size)", "tokens[..., unit]")
def test_hidden_ids_do_not_show():
    for model in masked_variants():
        tokens = masked_tokens(model)
        mask = torch.rand(tokens.shape, generator=seeded(0)) < 0.5
        sizes = torch.tensor(model.tokens.unit_sizes)
        changed = torch.where(mask, (tokens + 1) % sizes, tokens)
        for before, after in zip(model(tokens, mask, LABELS), model(changed, mask, LABELS), strict=True):
            assert torch.equal(before, after)


def test_every_known_id_shows():
    for model in masked_variants():
        tokens = masked_tokens(model)
        mask = torch.zeros_like(tokens, dtype=torch.bool)
        mask[:, 0] = True
        before = model(tokens, mask, LABELS)[0][:, 0]
        for position in range(1, 6):
            for unit, size in enumerate(model.tokens.unit_sizes):
                changed = tokens.clone()
                changed[:, position, unit] = (changed[:, position, unit] + 1) % size
                assert not torch.equal(before, model(changed, mask, LABELS)[0][:, 0])


@catches(SUBJECT, "x = x + (self.positions if rows is None else self.positions[rows])", "pass")
def test_positions_are_told_apart():
    for model in masked_variants():
        tokens = torch.zeros(3, 6, 2, dtype=torch.int64)
        mask = torch.ones_like(tokens, dtype=torch.bool)
        mask[:, 0] = False
        logits = model(tokens, mask, LABELS)[0]
        assert not torch.allclose(logits[:, 1], logits[:, 4], atol=1e-4)


@catches(SUBJECT, "mask + ~mask * self.options.unmasked_weight", "mask + mask * self.options.unmasked_weight")
def test_the_loss_is_the_mean_over_hidden_units():
    for model in masked_variants():
        tokens = masked_tokens(model)
        for weight in (0.0, 0.1):
            model.options = MaskedAROptions(unmasked_weight=weight, label_smoothing=0.1)
            mask = model.draw_mask(3, tokens.device, generator=seeded(4))
            total, count = 0.0, 0.0
            for unit, logits in enumerate(model(tokens, mask, LABELS)):
                log_prob = logits.double().log_softmax(-1)
                picked = log_prob.gather(-1, tokens[..., unit : unit + 1])[..., 0]
                terms = -0.9 * picked - 0.1 * log_prob.mean(-1)
                weights = torch.where(mask[..., unit], 1.0, weight)
                total, count = total + (terms * weights).sum(), count + weights.sum()
            loss = model.loss(tokens, LABELS, generator=seeded(4))
            assert loss.dtype == torch.float32
            torch.testing.assert_close(loss.double(), total / count, atol=1e-5, rtol=1e-5)


@catches(SUBJECT, "* self.options.unmasked_weight).float()", "* self.options.unmasked_weight)")
def test_the_loss_is_float32_whatever_torchs_default_dtype_is():
    model, default = small_masked(), torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        loss = model.loss(masked_tokens(model), LABELS, generator=seeded(4))
    finally:
        torch.set_default_dtype(default)
    assert loss.dtype == torch.float32


@catches("vistok.generators.masked_ar_options", "label_smoothing: float = 0.1", "label_smoothing: float = 0.0")
def test_labels_are_smoothed_by_a_tenth_in_eval_mode_too():
    plain, smoothed = small_masked().eval(), small_masked().eval()
    plain.options = MaskedAROptions(label_smoothing=0.0)
    smoothed.options = MaskedAROptions()
    losses = [model.loss(masked_tokens(model), LABELS, generator=seeded(4)) for model in (plain, smoothed)]
    assert not torch.equal(*losses)
    smoothed.options = MaskedAROptions(label_smoothing=0.1)
    assert torch.equal(smoothed.loss(masked_tokens(smoothed), LABELS, generator=seeded(4)), losses[1])


@catches(SUBJECT, "(ratio * units).round().clamp_min(1)", "(ratio * units).floor()")
def test_exact_masks_hide_the_rounded_number():
    model = small_masked(shape=50, schedule="linear")
    mask = model.draw_mask(400, torch.device("cpu"), generator=seeded(0))
    ratio = 1 - torch.rand(400, 1, generator=seeded(0))
    assert torch.equal(mask.flatten(1).sum(-1), (ratio[:, 0] * 100).round().clamp_min(1).long())
    hidden = mask.float().mean(0)
    assert (hidden - 0.5).abs().max() < 0.12


@catches(SUBJECT, "mask = score < ratio", "mask = score > ratio")
def test_independent_masks_toss_a_coin_for_each_unit():
    model = small_masked(shape=50, schedule="truncated_normal", independent_masks=True)
    mask = model.draw_mask(400, torch.device("cpu"), generator=seeded(0))
    share = mask.float().mean((1, 2))
    assert 0.8 < share.mean() < 0.9
    assert mask.float().mean(0).std() < 0.05


def test_weights_start_with_the_published_spread_at_the_published_width():
    for width in (64, 1024):
        model = MaskedAR(IdTokens((16,)), 4, 3, width=width, depth=1, num_heads=4)
        assert abs(model.hidden.weight.std().item() / (0.02 * (1024 / width) ** 0.5) - 1) < 0.05
