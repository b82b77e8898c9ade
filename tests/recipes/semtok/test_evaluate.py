"""What is measured of parts of the tokens."""

import pytest
import torch

from _support.mutants import catches
from _support.semtok_runs import tiny
from semtok.evaluate import part_measures
from vistok.metrics import psnr
from vistok.workbench.data import ImageSet

SUBJECT = "semtok.evaluate"


class Remembers:
    """A tokenizer whose images say which tokens it saw: white where the token of that row of pixels is hidden."""

    def __init__(self):
        self.hidden = []

    def decode(self, tokens, *, hidden, generator):
        self.hidden.append(hidden)
        return hidden.float()[:, None, :, None].expand(-1, 1, -1, 16) * 2 - 1


@catches(SUBJECT, ".argsort(dim=1).argsort(dim=1)", ".argsort(dim=1)[:1].expand(len(some), -1)")
@catches(SUBJECT, "rank[chunk] >= round", "rank[chunk] < round")
@catches(SUBJECT, '"prefix": torch.arange(tokens.shape[1])', '"prefix": torch.arange(tokens.shape[1]).flip(0)')
@catches(SUBJECT, "images.batch(some[chunk])", "images.batch(chunk)")
def test_parts_of_the_tokens_are_the_first_ones_or_scattered_ones_that_grow():
    greys = (torch.arange(700) // 3).to(torch.uint8)[:, None, None, None].expand(-1, 1, 16, 16).contiguous()
    images = ImageSet(greys, torch.zeros(700, dtype=torch.int64), ("all",), "greys")
    tokenizer = Remembers()
    measures = part_measures(tokenizer, torch.zeros(700, 16, dtype=torch.int32), images, tiny("seed=3"))
    assert list(measures) == [f"{kind}_{part}%" for kind in ("prefix", "scattered") for part in (25, 50, 75)]
    hidden = torch.stack([torch.cat(tokenizer.hidden[i : i + 5]) for i in range(0, 30, 5)])
    assert hidden.sum(-1).unique(dim=1)[:, 0].tolist() == [12, 8, 4, 12, 8, 4]
    assert torch.equal(hidden[1, 0], torch.arange(16) >= 8)
    scattered = hidden[3:]
    assert (scattered[0] >= scattered[1]).all()
    assert (scattered[1] >= scattered[2]).all()
    assert len(scattered[1].unique(dim=0)) > 400
    shown = images.batch(torch.linspace(0, 699, 500).long())
    stripes = hidden[4].float()[:, None, :, None].expand(-1, 1, -1, 16) * 2 - 1
    assert measures["scattered_50%"] == pytest.approx(psnr(stripes, shown).mean().item())
