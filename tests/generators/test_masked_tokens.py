"""Ids of streams, and bits in groups."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import BitTokens

SUBJECT = "vistok.generators.masked_tokens"


@catches(SUBJECT, "groups << shifts", "groups << shifts.flip(0)")
@catches(SUBJECT, ">> powers) & 1", ">> powers.flip(0)) & 1")
def test_bits_and_groups_convert():
    tokens = BitTokens(6, 2)
    groups = torch.randint(8, (5, 2), generator=seeded(0))
    assert torch.equal(tokens.to_groups(tokens.to_bits(groups)), groups)
    assert tokens.to_bits(torch.tensor([1, 6])).tolist() == [1, -1, -1, -1, 1, 1]


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 100))
def test_bits_come_back_from_their_groups(groups, bits, seed):
    tokens = BitTokens(groups * bits, groups)
    drawn = torch.randn(3, groups * bits, generator=seeded(seed)).sign()
    assert torch.equal(tokens.to_bits(tokens.to_groups(drawn)), drawn)
