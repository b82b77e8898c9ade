"""Quality by the number of tokens, and the fewest tokens that an image needs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.semtok_runs import pictures, tiny, tiny_tokenizer
from semtok.length_curve import (
    _bisected,
    _scanned,
    adaptive_measures,
    curve_lengths,
    fewest_tokens,
    length_at,
    length_curve,
    length_measures,
    part_measures,
)
from semtok.reconstruct import in_one_step
from vistok.metrics import psnr, ssim
from vistok.workbench.config import ConfigError
from vistok.workbench.data import ImageSet

SUBJECT = "semtok.length_curve"


class Remembers:
    """A tokenizer whose images say which tokens it saw: white where the token of that row of pixels is hidden."""

    def __init__(self):
        self.hidden = []

    def decode(self, tokens, *, hidden, generator):
        self.hidden.append(hidden)
        return hidden.float()[:, None, :, None].expand(-1, 1, -1, hidden.shape[1]) * 2 - 1


def greys(count):
    levels = (torch.arange(count) // 3 % 256).to(torch.uint8)[:, None, None, None].expand(-1, 1, 16, 16).contiguous()
    return ImageSet(levels, torch.zeros(count, dtype=torch.int64), ("all",), "greys")


@catches(SUBJECT, ".argsort(dim=1).argsort(dim=1)", ".argsort(dim=1)[:1].expand(len(known), -1)")
@catches(SUBJECT, "rank >= length", "rank < length")
@catches(SUBJECT, "(torch.arange(known.shape[1]).expand_as", "(torch.arange(known.shape[1]).flip(0).expand_as")
@catches(SUBJECT, "images.batch(chunk), tokens", "images.batch(chunk - chunk[0]), tokens")
@catches(SUBJECT, "torch.cat(parts).mean()", "parts[0].mean()")
def test_parts_of_the_tokens_are_the_first_ones_or_scattered_ones_that_grow():
    """Over all images."""
    images, tokenizer, lengths = greys(250), Remembers(), [4, 8, 12, 16]
    curve = length_curve(tokenizer, torch.zeros(250, 16, dtype=torch.int32), images, lengths, 3)
    assert list(curve) == ["tokens", "prefix_psnr", "prefix_ssim", "scattered_psnr", "scattered_ssim"]
    assert {len(values) for values in curve.values()} == {4}
    hidden = torch.stack([torch.cat(tokenizer.hidden[i::8]) for i in range(8)])
    assert hidden.sum(-1).unique(dim=1)[:, 0].tolist() == [12, 8, 4, 0] * 2
    assert torch.equal(hidden[1, 0], torch.arange(16) >= 8)
    scattered = hidden[4:]
    assert (scattered[0] >= scattered[1]).all()
    assert (scattered[1] >= scattered[2]).all()
    assert len(scattered[1].unique(dim=0)) > 200
    stripes = hidden[5].float()[:, None, :, None].expand(-1, 1, -1, 16) * 2 - 1
    shown = images.batch(torch.arange(250))
    assert curve["scattered_psnr"][1] == pytest.approx(psnr(stripes, shown).mean().item())
    assert curve["scattered_ssim"][1] == pytest.approx(ssim(stripes, shown).mean().item())
    assert part_measures(curve, 16) == {
        f"{kind}_{25 * (part + 1)}%": curve[f"{kind}_psnr"][part]
        for kind in ("prefix", "scattered")
        for part in (0, 1, 2)
    }


def test_all_tokens_give_what_the_refiner_gives_to_the_bit():
    tokenizer = tiny_tokenizer("constant")
    images = ImageSet(((pictures(8) + 1) * 127).to(torch.uint8), torch.zeros(8, dtype=torch.int64), ("all",), "some")
    originals = images.batch(torch.arange(8))
    tokens = tokenizer.encode(originals)
    found = length_measures(tokenizer, tokens, images, tiny())
    assert found["lengths"]["tokens"] == [1, 2, 3, 4]
    whole = psnr(tokenizer.refine(tokens), originals).mean().item()
    assert found["first tokens"]["4"] == whole
    assert list(found["first tokens"]) == ["1", "2", "3", "4"]
    assert found["lengths"]["prefix_psnr"][-1] == found["lengths"]["scattered_psnr"][-1] == whole
    assert found["adaptive length"]["wanted"] == [found["parts of the tokens"]["prefix_50%"]]


@catches("semtok.reconstruct", "if tokenizer.refiner is None:", "if True:")
def test_the_curve_of_a_refiner_of_samples_is_of_those_that_its_sampler_makes_in_all_its_steps():
    tokenizer, tokens = tiny_tokenizer("sample"), torch.randint(64, (3, 4), generator=torch.Generator().manual_seed(0))
    one, two = (
        each.decode(tokens, generator=torch.Generator().manual_seed(1)) for each in (in_one_step(tokenizer), tokenizer)
    )
    assert torch.equal(one, two)


@catches(SUBJECT, "for length in parts if length", "for length in parts")
def test_lengths_double_unless_told_otherwise_and_hold_the_parts():
    assert curve_lengths(32, None) == [1, 2, 4, 8, 16, 24, 32]
    assert curve_lengths(32, (5, 30)) == [5, 8, 16, 24, 30]
    assert curve_lengths(1, None) == [1]
    assert tiny("reconstruct.lengths=[2,4]").reconstruct.lengths == (2, 4)
    with pytest.raises(ConfigError, match=r"reconstruct\.lengths: expected at most tokenizer\.num_tokens = 4, got 5"):
        tiny("reconstruct.lengths=[2,5]")


def test_images_smaller_than_the_window_have_no_ssim():
    levels = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    images = ImageSet(levels, torch.zeros(3, dtype=torch.int64), ("all",), "flat")
    curve = length_curve(Remembers(), torch.zeros(3, 8, dtype=torch.int32), images, [8], 0)
    assert list(curve) == ["tokens", "prefix_psnr", "scattered_psnr"]


CURVES = st.integers(1, 9).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 9), min_size=n, max_size=n), min_size=1, max_size=4)
)


@catches(SUBJECT, "(lengths < most)).any()", "(lengths < most - 1)).any()")
@catches(SUBJECT, "torch.where(found < wanted, lengths + 1, lengths)", "(lengths + 1)")
@given(rows=CURVES)
def test_a_scan_finds_the_fewest_whatever_the_curve(rows):
    values = torch.tensor(rows).double()
    count, most = values.shape
    found = _scanned(lambda lengths: values.gather(1, lengths[:, None] - 1)[:, 0], count, most, 5.0)
    for row, length, quality in zip(rows, found.lengths.tolist(), found.psnr.tolist(), strict=True):
        assert length == next((k for k, value in enumerate(row, start=1) if value >= 5), most)
        assert quality == row[length - 1]


@catches(SUBJECT, "here >= wanted", "here > wanted")
@catches(SUBJECT, "torch.full((count,), most)", "torch.full((count,), most - 1)")
@catches(SUBJECT, "found = torch.where(enough, here, found)", "found = here")
@given(rows=CURVES)
def test_bisection_finds_a_length_with_enough_behind_one_without(rows):
    values, calls = torch.tensor(rows).double(), []
    count, most = values.shape

    def quality(lengths):
        calls.append(lengths)
        return values.gather(1, lengths[:, None] - 1)[:, 0]

    found = _bisected(quality, count, most, 5.0)
    assert len(calls) <= (most - 1).bit_length() + 1
    for row, length, value in zip(rows, found.lengths.tolist(), found.psnr.tolist(), strict=True):
        assert value == row[length - 1]
        assert value >= 5 or length == most
        assert length == 1 or row[length - 2] < 5 or value < 5
        if row == sorted(row):
            assert length == next((k for k, each in enumerate(row, start=1) if each >= 5), most)


@catches(SUBJECT, "hidden=places >= lengths[:, None]", "hidden=places > lengths[:, None]")
@pytest.mark.parametrize("kind", [None, "constant", "noise"])
def test_fewest_tokens_are_those_whose_decoding_has_the_psnr(kind):
    tokenizer, images = tiny_tokenizer(kind), pictures(5)
    tokens = tokenizer.encode(images)
    by_length = torch.stack(
        [psnr(tokenizer.decode(tokens[:, :k], generator=torch.Generator().manual_seed(2)), images) for k in range(1, 5)]
    )
    wanted = by_length[1].median().item()
    found = fewest_tokens(tokenizer, images, wanted, seed=2)
    assert torch.equal(found.psnr, by_length.gather(0, found.lengths[None] - 1)[0])
    for column, length in zip(by_length.T.tolist(), found.lengths.tolist(), strict=True):
        assert length == next((k for k, value in enumerate(column, start=1) if value >= wanted), 4)
    halved = fewest_tokens(tokenizer, images, wanted, search="bisection", seed=2)
    assert torch.equal(halved.psnr, by_length.gather(0, halved.lengths[None] - 1)[0])
    assert fewest_tokens(tokenizer, images, 0.0).lengths.tolist() == [1] * 5
    assert fewest_tokens(tokenizer, images, 99.0).lengths.tolist() == [4] * 5
    with pytest.raises(ValueError, match="search: expected scan or bisection, got 'linear'"):
        fewest_tokens(tokenizer, images, wanted, search="linear")


@catches(SUBJECT, "if not math.isfinite(wanted):", "if False:")
def test_a_wanted_quality_that_is_no_number_is_refused():
    for wanted in ("nan", "inf"):
        with pytest.raises(ValueError, match=f"^wanted: expected a finite number of dB, got {wanted}$"):
            fewest_tokens(tiny_tokenizer("constant"), pictures(1), float(wanted))


@catches(SUBJECT, "(quality >= each)", "(quality > each)")
@catches(SUBJECT, 'length_at(mean, curve["tokens"]', 'length_at(each, curve["tokens"]')
def test_the_adaptive_length_stands_beside_one_length_for_all():
    tokenizer = tiny_tokenizer("constant")
    images = ImageSet(((pictures(6) + 1) * 127).to(torch.uint8), torch.zeros(6, dtype=torch.int64), ("all",), "some")
    batch = images.batch(torch.arange(6))
    curve = length_curve(tokenizer, tokenizer.encode(batch), images, [1, 2, 3, 4], 0)
    one = fewest_tokens(tokenizer, batch, 0.0)
    wanted = one.psnr.median().item()
    measures = adaptive_measures(tokenizer, images, (wanted, 0.0), curve, 0)
    found = fewest_tokens(tokenizer, batch, wanted, search="bisection")
    assert measures["wanted"] == [wanted, 0.0]
    assert measures["tokens"] == [found.lengths.double().mean().item(), 1.0]
    assert measures["reached"] == [(found.psnr >= wanted).double().mean().item(), 1.0]
    assert measures["psnr"] == [found.psnr.mean().item(), curve["prefix_psnr"][0]]
    assert measures["tokens_alike"] == [length_at(measures["psnr"][0], curve["tokens"], curve["prefix_psnr"]), 1.0]


@catches(SUBJECT, "(wanted - low) / (high - low)", "(high - wanted) / (high - low)")
@catches(SUBJECT, "if points[0][1] >= wanted:", "if False:")
def test_between_its_points_a_curve_is_straight():
    assert length_at(22.5, [1, 2, 4], [10.0, 20.0, 30.0]) == 2.5
    assert length_at(10.0, [1, 2, 4], [10.0, 20.0, 30.0]) == 1.0
    assert length_at(5.0, [1, 2, 4], [10.0, 20.0, 30.0]) == 1.0
    assert length_at(31.0, [1, 2, 4], [10.0, 20.0, 30.0]) is None
    assert length_at(25.0, [1, 2, 4], [10.0, 30.0, 20.0]) == 1.75
