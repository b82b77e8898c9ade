"""Random numbers that belong to images."""

import pytest
import torch

from _support.mutants import catches
from vistok.metrics.distribution._image_keys import check_indices, image_keys

SUBJECT = "vistok.metrics.distribution._image_keys"


def splitmix64(index, seed):
    """In Python's own integers."""
    mask = 2**64 - 1

    def mixed(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    step = 0x9E3779B97F4A7C15
    found = mixed((mixed(seed * step & mask) + index * step) & mask)
    return found - 2**64 if found >= 2**63 else found


@catches(SUBJECT, " & ((1 << (64 - bits)) - 1)", "")
@catches(SUBJECT, "keys ^ _shifted(keys, 31)", "keys ^ _shifted(keys, 33)")
def test_they_are_those_of_splitmix():
    indices = torch.tensor([0, 1, 2, 7, 49_999, 2**40])
    for seed in (0, 1, 12345):
        assert image_keys(indices, seed).tolist() == [splitmix64(i, seed) for i in indices.tolist()]


def test_they_differ_for_all_images_and_spread_evenly():
    keys = image_keys(torch.arange(20_000), 3)
    assert len(keys.unique()) == 20_000
    shares = (keys.double() / 2.0**63).histc(8, -1, 1) / 20_000
    assert (shares - 1 / 8).abs().max() < 0.01
    assert (image_keys(torch.arange(20_000), 4) == keys).sum() == 0


@catches(SUBJECT, "len(indices) != count or ", "")
@catches(SUBJECT, "indices.is_floating_point() or ", "")
def test_numbers_of_images_are_whole_and_one_an_image():
    assert check_indices(torch.tensor([3, 4], dtype=torch.int32), 2).dtype == torch.int64
    for indices in (torch.arange(3), torch.tensor([0.0, 1.0]), torch.tensor([True, False]), torch.zeros(2, 1).long()):
        with pytest.raises(ValueError, match="indices must be 2 whole numbers, got"):
            check_indices(indices, 2)
