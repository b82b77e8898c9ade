"""Folded batch norms change nothing."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from _support.mutants import catches
from _support.strategies import seeds
from vistok.metrics.networks.batch_norms import fold_batch_norms

SUBJECT = "vistok.metrics.networks.batch_norms"


@catches(
    SUBJECT,
    "(offset - norm.running_mean.double()) * scale + beta",
    "offset - norm.running_mean.double() * scale + beta",
)
@catches(
    SUBJECT, "torch.sqrt(norm.running_var.double() + norm.eps)", "torch.sqrt(norm.running_var.double()) + norm.eps"
)
@given(seeds, st.booleans(), st.integers(1, 4))
def test_folding_a_batch_norm_changes_nothing(seed, bias, channels):
    torch.manual_seed(seed)
    block = nn.Sequential(
        nn.Conv2d(3, channels, 3, bias=bias), nn.BatchNorm2d(channels), nn.ReLU(), nn.BatchNorm2d(channels)
    ).eval()
    for norm in (block[1], block[3]):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.1, 2)
    x = torch.randn(2, 3, 5, 5)
    before = block(x)
    fold_batch_norms(block)
    assert isinstance(block[1], nn.Identity)
    assert isinstance(block[3], nn.BatchNorm2d)  # no convolution before it: left alone
    assert torch.allclose(block(x), before, atol=1e-5)
