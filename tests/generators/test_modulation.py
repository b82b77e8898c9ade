"""Shifts, scales and gates from a condition."""

import torch

from _support.mutants import catches
from vistok.generators import Modulation, modulate

SUBJECT = "vistok.generators.layers.modulation"


@catches(SUBJECT, "torch.addcmul(shift, x, scale + 1)", "torch.addcmul(shift, x, scale)")
def test_modulation_shifts_after_scaling():
    assert modulate(torch.tensor([2.0]), torch.tensor([1.0]), torch.tensor([0.5])).item() == 4.0
    zero = Modulation(4, 6, zero_init=True)
    assert all(part.abs().sum() == 0 for part in zero(torch.randn(2, 4)))
