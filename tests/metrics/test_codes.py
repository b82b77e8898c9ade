"""Tokens of any number of codebooks: what was counted is what was there, and what was not counted is said."""

import math

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import CodePairs, Evaluation
from vistok.metrics.harness import codes as module
from vistok.metrics.harness.codes import add_codes, code_streams, take_codes

SUBJECT = "vistok.metrics.harness.codes"


def measured(tokens, sizes, pixels=64):
    first = tuple(part[:1] for part in tokens)
    streams = code_streams(first, sizes)
    for batch in zip(*(part.split(3) for part in tokens), strict=True):
        take_codes(streams, batch)
    found = Evaluation()
    add_codes(found, streams, first, sizes, pixels)
    return found


@catches(SUBJECT, "zip(places, entropies, strict=True)", "zip(places[::-1], entropies, strict=True)")
@catches(SUBJECT, "count * math.log2(size)", "count * math.log(size)")
@catches(SUBJECT, "part[0].numel()", "part.numel() // 2")
def test_bits_are_counted_by_hand():
    """Eight images: four places of which half are 0 and half are 1, of 4 codes; one place that is always 5, of 8."""
    coarse = torch.tensor([[[0, 1], [1, 0]]]).repeat(8, 1, 1)
    found = measured((coarse, torch.full((8, 1), 5)), (4, 8)).measures["codes"]
    assert found == {
        "tokens_per_image": 5,
        "bits_per_image": 4 * 2 + 1 * 3,
        "bits_per_pixel": 11 / 64,
        "codebook_0_usage": 0.5,
        "codebook_0_perplexity": 2.0,
        "codebook_0_entropy": 1.0,
        "codebook_1_usage": 0.125,
        "codebook_1_perplexity": 1.0,
        "codebook_1_entropy": 0.0,
        "bits_per_pixel_as_coded": 4 / 64,
    }


@catches(SUBJECT, "found.mutual_information,", "found.joint_entropy - found.mutual_information,")
@catches(SUBJECT, "len(tokens) == 2 and tokens[0].shape == tokens[1].shape", "len(tokens) == 2")
def test_what_two_codebooks_at_the_same_places_share_is_told():
    tokens = torch.randint(0, 4, (2, 8, 3, 3), generator=torch.Generator().manual_seed(0))
    found = measured(tuple(tokens), (4, 4)).measures["codes"]
    pair = CodePairs(4, 4)
    pair.update(*tokens)
    assert found["joint_entropy"] == pytest.approx(pair.compute().joint_entropy)
    assert found["mutual_information"] == pytest.approx(pair.compute().mutual_information)
    assert found["mutual_information_bias"] == pytest.approx(pair.compute().bias)
    assert "joint_entropy" not in measured((tokens[0], tokens[1, :, :2]), (4, 4)).measures["codes"]
    assert "joint_entropy" not in measured((*tokens, tokens[0]), (4, 4, 4)).measures["codes"]


@catches(SUBJECT, "if len(sizes) != len(places):", "if False:")
def test_sizes_that_are_not_known_leave_the_codes_out_with_a_reason():
    found = measured((torch.zeros(3, 2, dtype=torch.int64),), ())
    assert found.measures == {}
    assert found.left_out == {"codes: bits": "sizes of 1 codebooks are needed, got 0"}


@catches(SUBJECT, "if size <= LARGEST", "if size < 4 * LARGEST")
def test_a_codebook_too_large_to_count_has_its_bits_alone(monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100)
    found = measured((torch.zeros(3, 2, dtype=torch.int64), torch.ones(3, 2, dtype=torch.int64)), (101, 4))
    assert found.measures["codes"]["bits_per_image"] == pytest.approx(2 * (math.log2(101) + 2))
    assert "codebook_1_usage" in found.measures["codes"]
    assert found.left_out == {
        "codes: codebook 0": "101 codes are not counted one by one, at most 100 are",
        "codes: bits as coded": "the entropy of every codebook is needed",
    }


def test_a_code_that_is_not_discrete_says_nothing():
    assert measured((), ()) == Evaluation()
