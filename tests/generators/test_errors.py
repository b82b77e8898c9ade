"""A wrong input is refused in one line that names it, what was expected and what came."""

import pytest
import torch

from vistok import generators as g

SIZES = {"width": 16, "depth": 2, "num_heads": 2}


def xar():
    return g.XAR(2, 4, 2, 3, **SIZES)


def far():
    return g.FAR((4, 4), 2, 3, **SIZES)


def masked():
    return g.MaskedAR(g.IdTokens((4, 4)), 4, 3, **SIZES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: g.XAR(2, 4, 3, 3, **SIZES), "cells of 3x3 do not divide a grid of 4x4"),
        (lambda: g.XAR(2, 4, 2, 3, width=16, depth=3, num_heads=2), "depth must be even"),
        (lambda: g.XAR(2, 4, 2, 3, width=12, depth=2, num_heads=2), "width must be a multiple"),
        (lambda: xar()(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4), torch.tensor([0])), "latents must have shape"),
        (lambda: xar()(torch.zeros(1, 2, 4, 4), torch.zeros(1, 3), torch.tensor([0])), "t must have shape"),
        (lambda: xar().loss(torch.zeros(1, 2, 4, 4), torch.tensor([4])), r"labels must lie in \[0, 3\]"),
        (lambda: xar().loss(torch.zeros(1, 2, 4, 4), torch.tensor([[1]])), r"labels must have shape \(B,\)"),
        (lambda: xar().sample(torch.tensor([1]), method="rk"), "method must be 'sde', 'ode' or 'heun'"),
        (lambda: xar().sample(torch.tensor([1]), num_steps=0), "num_steps must be an integer >= 1, got 0"),
        (lambda: g.cell_permutation((4, 4), (2, 2), order="spiral"), "order must be 'block' or 'interleaved'"),
        (lambda: g.FAR((4, 4), 2, 3, **SIZES, options=g.FAROptions(head_depth=0)), "several streams need head_depth"),
        (lambda: g.FAR((4, 4), 2, 3, **SIZES, options=g.FAROptions(stream_order=(0, 0))), "stream_order must list"),
        (lambda: g.FAR((4,), 2, 3, width=12, depth=1, num_heads=2), "width a multiple of 4"),
        (lambda: g.FAR((), 2, 3, **SIZES), r"codebook_sizes must hold sizes >= 1, got \(\)"),
        (lambda: g.FAR((4, 0), 2, 3, **SIZES), r"codebook_sizes must hold sizes >= 1, got \(4, 0\)"),
        (lambda: g.FAR((4,), (2, 0), 3, **SIZES), r"grid_size must be >= 1, got \(2, 0\)"),
        (lambda: g.FAR((4,), 2, 3, width=0, depth=1, num_heads=1), "width a multiple of 4"),
        (lambda: g.XAR(0, 4, 2, 3, **SIZES), "in_channels must be >= 1, got 0"),
        (lambda: g.MaskedAR(g.IdTokens((4,)), 0, 3, **SIZES), "shape must hold at least one position, got 0"),
        (lambda: g.FAROptions(head_depth=-1), "head_depth must be >= 0, got -1"),
        (lambda: g.FAROptions(prefix_rotation="none"), "prefix_rotation must be 'identity' or 'zero', got 'none'"),
        (lambda: g.XAROptions(order="spiral"), "order must be 'block' or 'interleaved', got 'spiral'"),
        (lambda: g.XAROptions(gate="relu"), "gate must be 'silu' or 'gelu', got 'relu'"),
        (lambda: g.MaskedAROptions(positions="sinus"), "positions must be 'learned' or 'rotary', got 'sinus'"),
        (lambda: g.MaskedAROptions(schedule="square"), "schedule must be 'cosine', 'arccos', 'linear' or 'trunc"),
        (lambda: g.MaskedAROptions(unmasked_weight=-0.1), "unmasked_weight must be finite and >= 0, got -0.1"),
        (lambda: g.MaskedAROptions(label_smoothing=1.0), r"label_smoothing must lie in \[0, 1\), got 1.0"),
        (lambda: g.SwiGLU(4, 4, dropout=1.0), r"dropout must lie in \[0, 1\), got 1.0"),
        (lambda: far()(torch.zeros(1, 4, 1, dtype=torch.int64), torch.tensor([0])), "tokens must have shape"),
        (lambda: g.draw_tokens(torch.zeros(1, 2), temperature=-1.0), "temperature must be >= 0"),
        (lambda: g.filter_logits(torch.zeros(2), top_k=-1), "top_k must be an integer >= 0, got -1"),
        (lambda: g.filter_logits(torch.zeros(2), top_p=0.0), "top_p must lie in"),
        (lambda: masked()(torch.zeros(1, 4, 1, dtype=torch.int64), torch.zeros(1), torch.tensor([0])), "tokens must"),
        (lambda: masked()(torch.zeros(1, 4, 2).long(), torch.zeros(1, 4, 2), torch.tensor([0])), "mask must be bool"),
        (lambda: g.MaskedAR(g.IdTokens((4,)), 4, 3, width=12, depth=1, num_heads=2), "width a multiple of 4"),
        (lambda: masked().sample(torch.tensor([1]), num_steps=9), r"num_steps must lie in 1\.\.8"),
        (lambda: g.masked_counts(8, 4, "truncated_normal"), "is for training"),
        (lambda: g.mask_ratio(torch.zeros(1), "square"), "schedule must be"),
        (lambda: g.MaskedSampling(order="left"), "order must be 'confidence', 'random' or 'raster'"),
        (lambda: g.MaskedSampling(noise=-1.0), "must be finite and >= 0"),
        (lambda: g.MaskedSampling(noise=float("inf")), "must be finite and >= 0, got inf"),
        (lambda: g.MaskedSampling(schedule="cosin"), "schedule must be 'cosine', 'arccos' or 'linear', got 'cosin'"),
        (lambda: xar().sample(torch.tensor([1]), num_steps=2.0), "num_steps must be an integer >= 1, got 2.0"),
        (lambda: masked().sample(torch.tensor([1]), num_steps=2.0), r"num_steps must lie in 1\.\.8 .* got 2\.0"),
        (lambda: g.draw_tokens(torch.zeros(1, 2), top_k=2.0), "top_k must be an integer >= 0, got 2.0"),
        (lambda: g.BitTokens(4, 2).to_bits(torch.zeros(2, 3).long()), r"groups must have 2 ids .* got \(2, 3\)"),
        (lambda: g.MaskedSampling(refresh_every=0), "refresh_every must be an integer >= 1, got 0"),
        (lambda: g.IdTokens(()), "codebook_sizes must hold"),
        (lambda: g.BitTokens(7, 2), "num_groups must divide"),
        (lambda: g.BitTokens(42, 2), "a group may have 20 bits"),
        (lambda: g.BitTokens(4, 2).to_groups(torch.zeros(3)), "bits must have 4 entries"),
        (lambda: g.Guidance(-1.0), "guidance scale"),
        (lambda: g.Guidance(1.0, "square"), "guidance kind"),
        (lambda: g.Guidance(1.0, power=0.0), "guidance power"),
        (lambda: g.Guidance(1.0, clock="wall"), "guidance clock"),
        (lambda: g.IntervalGuidance(-1.0, 0.0, 1.0), "guidance scale"),
        (lambda: g.IntervalGuidance(float("inf"), 0.0, 1.0), "guidance scale"),
        (
            lambda: g.IntervalGuidance(1.5, 0.6, 0.5),
            "guidance interval must satisfy 0 <= low <= high <= 1, got 0.6 and",
        ),
        (lambda: g.IntervalGuidance(1.5, -0.1, 0.5), "guidance interval"),
        (lambda: g.IntervalGuidance(1.5, 0.1, 1.1), "guidance interval"),
        (lambda: g.IntervalGuidance(1.5, float("nan"), 1.0), "guidance interval"),
        (lambda: g.attention(*torch.zeros(3, 1, 1, 2, 4), mask=torch.ones(2, 2).bool(), causal=True), "not both"),
        (lambda: g.attention(*torch.zeros(3, 1, 1, 2, 4), backend="flash"), "backend must be"),
        (lambda: g.RMSNorm(0), "RMSNorm needs dim >= 1"),
        (lambda: g.SwiGLU(4, 4, gate="relu"), "gate must be"),
        (lambda: g.SwiGLU(4, 0), "must be >= 1"),
        (lambda: g.rotary_table_1d(4, 3), "even head_dim"),
        (lambda: g.rotary_table_2d((2, 2), 6), "divisible by 4"),
        (lambda: g.Modulation(4, 0), "must be >= 1"),
        (lambda: g.TimeEmbedding(0), "dim must be >= 1"),
        (lambda: g.LabelEmbedding(0, 4), "num_classes must be >= 1"),
        (lambda: g.LabelEmbedding(3, 4, drop_prob=1.0), "drop_prob must lie in"),
        (lambda: g.DoubleStreamBlock(8, 3), "num_heads must divide"),
        (lambda: g.DoubleStreamBlock(8, 2)(torch.zeros(1, 1, 8), torch.zeros(1, 1, 8)), "got no condition"),
        (lambda: g.flow_path(torch.zeros(1), torch.zeros(2), torch.zeros(1)), "x and noise must have one shape"),
        (lambda: g.logit_normal_times((2,), uniform_prob=1.1), r"uniform_prob must lie in \[0, 1\], got 1.1"),
        (lambda: g.logit_normal_times((2,), uniform_prob=-0.1), "uniform_prob must lie in"),
        (lambda: g.logit_normal_times((2,), uniform_prob=float("nan")), "uniform_prob must lie in"),
        (lambda: g.solve_ode(lambda x, t: x, torch.zeros(1), torch.tensor([1.0, 1.0])), "strictly monotone"),
        (lambda: g.solve_ode(lambda x, t: x, torch.zeros(1), g.uniform_times(2), method="rk"), "method must be"),
        (lambda: g.solve_sde(lambda x, t: x, torch.zeros(1), g.uniform_times(2).flip(0)), "decreasing"),
    ],
)
def test_a_wrong_value_is_named(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [g.XAROptions, g.FAROptions, g.MaskedAROptions])
@pytest.mark.parametrize("name", ["label_drop_prob", "dropout"])
@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, float("nan")])
def test_a_probability_of_a_model_lies_below_one(options, name, value):
    with pytest.raises(ValueError, match=rf"^{name} must lie in \[0, 1\), got {value}$"):
        options(**{name: value})


def test_labels_must_be_integers():
    with pytest.raises(TypeError, match="labels must be integers"):
        xar().loss(torch.zeros(1, 2, 4, 4), torch.tensor([1.0]))
