"""How much is masked."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.generators import mask_ratio, masked_counts

SUBJECT = "vistok.generators.sampling.mask_schedules"


@catches(SUBJECT, "progress.clamp(0, 1).arccos() * (2 / math.pi)", "progress.clamp(0, 1).arccos() / math.pi")
def test_schedules_by_hand():
    progress = torch.tensor([0.0, 0.5, 1.0])
    for name, expected in (
        ("cosine", [1.0, math.sqrt(0.5), 0.0]),
        ("arccos", [1.0, 2 / 3, 0.0]),
        ("linear", [1.0, 0.5, 0.0]),
    ):
        torch.testing.assert_close(mask_ratio(progress, name), torch.tensor(expected), atol=1e-6, rtol=0)
    even = torch.linspace(0, 1, 200_001)
    for name, mean in (("cosine", 2 / math.pi), ("arccos", 2 / math.pi), ("linear", 0.5)):
        assert abs(mask_ratio(even, name).mean().item() - mean) < 1e-4
    ratio = mask_ratio(even, "truncated_normal")
    density = torch.exp(-0.5 * ((torch.linspace(0.7, 1, 100_001).double() - 1) / 0.25) ** 2)
    mean = (density * torch.linspace(0.7, 1, 100_001).double()).sum() / density.sum()
    assert abs(ratio.mean().item() - mean.item()) < 1e-3
    assert ratio.min() >= 0.7
    assert ratio.max() <= 1


@catches(SUBJECT, "min(left - 1,", "min(left,")
def test_every_step_fixes_something_and_the_last_fixes_all():
    for name in ("cosine", "arccos", "linear"):
        for units, steps in ((16, 1), (16, 5), (16, 16), (512, 64), (12, 11)):
            counts = masked_counts(units, steps, name)
            assert len(counts) == steps
            assert counts[-1] == 0
            assert all(now > then for now, then in zip([units, *counts[:-1]], counts, strict=True))
    assert masked_counts(256, 8, "cosine")[:3] == [251, 236, 212]


@given(st.integers(1, 300), st.data(), st.sampled_from(["cosine", "arccos", "linear"]))
def test_every_masking_plan_falls_strictly_to_zero(units, data, schedule):
    counts = masked_counts(units, data.draw(st.integers(1, units)), schedule)
    assert all(now > then for now, then in zip([units, *counts], counts, strict=False))
    assert counts[-1] == 0


@catches(SUBJECT, "num_units * ratio + 1e-9", "num_units * ratio")
@given(st.integers(1, 300), st.data())
def test_the_linear_plan_is_its_formula_in_integers(units, data):
    assert masked_counts(100, 10, "linear") == [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]
    steps = data.draw(st.integers(1, units))
    left = [units * (steps - step) // steps for step in range(1, steps + 1)]
    assert masked_counts(units, steps, "linear") == left
