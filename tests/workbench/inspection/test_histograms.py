"""The stairs of a drawn histogram are as high as its shares, and its words give their mean."""

import re

import pytest
import torch

from _support.mutants import catches
from vistok.workbench.inspection.histograms import histogram_figure, stairs

SUBJECT = "vistok.workbench.inspection.histograms"


@catches(SUBJECT, "(1 - share / highest)", "share / highest")
@catches(SUBJECT, "(index + 1) * _WIDTH / len(shares)", "index * _WIDTH / len(shares)")
def test_the_stairs_are_as_high_as_the_shares():
    shares = [0.1, 0.2, 0.4, 0.3]
    path = stairs(shares, 0.5)
    steps = [tuple(map(float, pair)) for pair in re.findall(r"V([\d.]+)H([\d.]+)", path)]
    assert [1 - height / 220 for height, _ in steps] == pytest.approx([share / 0.5 for share in shares])
    assert [right for _, right in steps] == [160, 320, 480, 640]


@catches(SUBJECT, "(2 * index + 1) / len(values) * share - share", "2 * index / len(values) * share - share")
@catches(SUBJECT, "values.double() / values.double().sum()", "values.double()")
@catches(SUBJECT, "max(max(values) for values in shares.values())", "max(shares[next(iter(shares))])")
def test_the_figure_says_the_means_and_draws_all_to_one_scale():
    figure = histogram_figure({"teacher": torch.tensor([0.0, 3.0, 1.0, 0.0]), "<book>": torch.tensor([0, 0, 0, 4])})
    assert "teacher: mean -0.125" in figure  # (3 * -0.25 + 0.25) / 4
    assert "&lt;book&gt;: mean 0.750" in figure
    assert "<book>" not in figure
    assert stairs([0.0, 0.75, 0.25, 0.0], 1.0) in figure
    assert 'role="img"' in figure
