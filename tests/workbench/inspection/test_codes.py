"""Nearest codes, classes and images of codes against counting by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.inspection.codes import carriers, class_profile, neighbours_of_codes

SUBJECT = "vistok.workbench.inspection.codes"


def cosine(one, other):
    lengths = math.sqrt(sum(a * a for a in one)) * math.sqrt(sum(b * b for b in other))
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


@catches(SUBJECT, "unit[some] @ unit.T", "unit[some] @ codes.double().T")
@catches(SUBJECT, "cosine.sort(dim=1, descending=True, stable=True)", "cosine.sort(dim=1, stable=True)")
@catches(SUBJECT, "cosine[torch.arange(len(some)), some] = -torch.inf", "pass")
@catches(SUBJECT, "torch.arange(len(some)), some]", "torch.arange(len(some)), torch.arange(len(some))]")
@given(st.integers(2, 12), st.integers(1, 5), st.integers(0, 10**6))
def test_the_nearest_codes_are_those_of_a_search_through_all_in_float64(count, dim, seed):
    draws = torch.Generator().manual_seed(seed)
    codes = torch.randn(count, dim, generator=draws).round(decimals=1)
    rows = torch.randperm(count, generator=draws)[: 1 + count // 2]
    found, cosines = neighbours_of_codes(codes, rows, 3)
    exact = codes.double().tolist()
    for row, near, values in zip(rows.tolist(), found.tolist(), cosines.tolist(), strict=True):
        others = sorted(((cosine(exact[row], exact[k]), k) for k in range(count) if k != row), reverse=True)
        assert row not in near
        assert len(near) == min(3, count - 1)
        assert values == pytest.approx([value for value, _ in others[:3]], abs=1e-12)
        assert [cosine(exact[row], exact[k]) for k in near] == pytest.approx(values, abs=1e-12)


@catches(SUBJECT, "cosine.sort(dim=1, descending=True, stable=True)", "cosine.topk(cosine.shape[1], dim=1)")
def test_of_equal_cosines_the_lower_row_comes_first():
    codes = torch.tensor([[1.0, 0.0], *([[0.0, 1.0]] * 40)])
    assert neighbours_of_codes(codes, torch.tensor([0]), 40)[0][0].tolist() == list(range(1, 41))


@catches(SUBJECT, "rows.split(max(1, block // max(1, len(unit))))", "rows.split(block // len(unit))[:-1]")
def test_blocks_give_what_one_search_gives():
    codes, rows = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), torch.arange(30)
    whole = neighbours_of_codes(codes, rows, 5)
    for block in (1, 90, 1000):
        assert torch.equal(neighbours_of_codes(codes, rows, 5, block=block)[0], whole[0])


@catches(SUBJECT, "asked * num_classes + labels[:, None]", "asked + labels[:, None] * len(rows)")
@catches(SUBJECT, "[asked >= 0]", "[asked > 0]")
@given(st.integers(0, 10**6))
def test_a_class_profile_counts_every_token_of_the_class_once(seed):
    draws = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 7, (9, 2, 3), generator=draws)
    labels = torch.randint(0, 4, (9,), generator=draws)
    rows = torch.randperm(7, generator=draws)[:3]
    counts = [[0] * 4 for _ in rows]
    for image, label in zip(tokens.tolist(), labels.tolist(), strict=True):
        for token in (token for line in image for token in line):
            if token in rows.tolist():
                counts[rows.tolist().index(token)][label] += 1
    assert class_profile(tokens, labels, rows, 7, 4).tolist() == counts


@catches(SUBJECT, "counts.argsort(descending=True, stable=True)", "counts.argsort(stable=True)")
@catches(SUBJECT, "flat[counts.cumsum(0) - counts] % length", "flat[counts.cumsum(0) - 1] % length")
@catches(SUBJECT, "flat // length", "flat % length")
@given(st.integers(0, 10**6))
def test_carriers_are_the_images_with_the_most_of_a_code_and_its_first_place(seed):
    tokens = torch.randint(0, 5, (6, 2, 3), generator=torch.Generator().manual_seed(seed))
    found = carriers(tokens, torch.tensor([4, 0]), 4)
    for code, listed in zip((4, 0), found, strict=True):
        flat = [image.flatten().tolist() for image in tokens]
        holding = [(-line.count(code), number, line.index(code)) for number, line in enumerate(flat) if code in line]
        assert listed == [(number, place, -count) for count, number, place in sorted(holding)[:4]]
