"""Between bits and integer indices."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded, seeds
from vistok.quantizers._bits import bits_to_indices, check_groups, indices_to_bits

SUBJECT = "vistok.quantizers._bits"


@catches(SUBJECT, "bits.unflatten(-1, (num_groups, -1))", "bits.unflatten(-1, (-1, num_groups)).mT")
@catches(SUBJECT, "torch.arange(grouped.shape[-1], device=bits.device)", "torch.arange(grouped.shape[-1]).flip(0)")
def test_by_hand_the_lowest_bit_comes_first():
    bits = torch.tensor([[True, False, False, True, True, False]])
    assert bits_to_indices(bits, 1).tolist() == [1 + 8 + 16]
    assert bits_to_indices(bits, 2).tolist() == [[1, 3]]
    assert bits_to_indices(bits, 3).tolist() == [[1, 2, 1]]


@catches(SUBJECT, "torch.arange(bits // num_groups, device=indices.device)", "torch.arange(bits // num_groups) + 1")
@given(seeds, st.sampled_from([(1, 1), (6, 1), (6, 2), (6, 6), (62, 1), (124, 2)]))
def test_bits_survive_the_round_trip(seed, sizes):
    count, groups = sizes
    bits = torch.randint(0, 2, (5, count), generator=seeded(seed))
    indices = bits_to_indices(bits.bool(), groups)
    assert (indices >= 0).all()
    assert torch.equal(indices_to_bits(indices, count, groups), bits)


@catches(SUBJECT, "or bits % num_groups", "")
@catches(SUBJECT, "if bits // num_groups > most:", "if bits > most:")
def test_groups_are_equal_and_small_enough():
    check_groups("Owner", 12, 2, most=6)
    for bits, groups in ((7, 2), (0, 1), (4, 0)):
        with pytest.raises(ValueError, match=f"^Owner: num_groups must divide bits .*, got {groups} and {bits}$"):
            check_groups("Owner", bits, groups, most=9)
    with pytest.raises(ValueError, match=r"^Owner: a group can have at most 5 bits, got 12 bits in 2 groups$"):
        check_groups("Owner", 12, 2, most=5)
