"""Numbers are compared where only what was evaluated differs; anything else is refused by its name."""

import pytest
import torch
from torch import nn

from _support.mutants import catches
from _support.stand_in_network import StandIn, pictures
from vistok.metrics import (
    Evaluation,
    Measurement,
    NotComparableError,
    Resampling,
    compare,
    evaluate_pairs,
    evaluate_samples,
    evaluate_tokenizer,
)

SUBJECT = "vistok.metrics.harness.compare"
IMAGES = pictures(12, 1)


class Darker:
    def reconstruct(self, images):
        return images * 0.9 - 0.1


class Scaled(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def reconstruct(self, images):
        return images * self.scale


class Black:
    codebook_sizes = (2,)

    def encode(self, images):
        return (images > 2).long()

    def decode(self, tokens):
        return tokens * 2.0 - 1.0


def evaluated(tokenizer, images=IMAGES, **rest):
    measurement = rest.pop("measurement", Measurement(StandIn(), resampling=Resampling(resamples=2)))
    return evaluate_tokenizer(tokenizer, images, measurement, **rest)


@catches(SUBJECT, "number(b - a)", "number(a - b)")
@catches(SUBJECT, "section != BASELINES and", "")
@catches(SUBJECT, 'and not name.startswith("training: ")', "")
def test_two_tokenizers_on_the_same_images_are_compared_by_what_both_have():
    one, other = evaluated(Darker()), evaluated(Black(), batch_size=5, training=pictures(20, 1))
    one.measures["baselines"] = other.measures["baselines"]
    told = compare(one, other)
    lines = told.splitlines()
    assert lines[0] == "| section | measure | Darker | Black | difference |"
    cells = {line.split(" | ")[1]: line.strip("| ").split(" | ")[2:] for line in lines[2:] if line.startswith("|")}
    assert "Frechet distance on stand-in" in cells
    a, b, difference = (float(value.replace(",", "")) for value in cells["PSNR (dB)"])
    assert (a, b) == pytest.approx([side.measures["reconstruction"]["psnr"] for side in (one, other)], rel=1e-4)
    assert difference == pytest.approx(b - a, abs=1e-3)
    assert difference < 0
    assert not any(name.startswith(("JPEG", "codebook")) for name in cells)
    assert "Also different: batch size 32 and 5." in told


@catches(SUBJECT, '"tokenizer weights", ', "")
def test_two_states_of_one_tokenizer_are_compared_and_told_apart():
    one, other = (evaluated(Scaled(scale)) for scale in (0.5, 0.9))
    weights = [side.choices["tokenizer weights"] for side in (one, other)]
    assert f"Also different: tokenizer weights {weights[0]} and {weights[1]}." in compare(one, other)


@catches(SUBJECT, "if refused:", "if len(refused) > 1:")
def test_any_choice_that_moves_a_number_is_refused_by_its_name_and_both_values():
    one = evaluated(Darker())
    seeded = Measurement(StandIn(), resampling=Resampling(seed=1, resamples=2))
    for other, said in (
        (evaluated(Darker(), pictures(12, 1, seed=1)), r"images: hash values \w+ and values \w+"),
        (evaluated(Darker(), seed=1), "decoder seed 0 and 1"),
        (evaluated(Darker(), measurement=Measurement()), "network stand-in and nothing"),
        (evaluated(Darker(), IMAGES[:5]), "count 12 and 5"),
        (evaluated(Darker(), image_size=12, crop="adm"), "images: crop none and ADM centre crop"),
        (
            evaluated(Darker(), measurement=seeded),
            "resampling: seed 0 and 1",
        ),
    ):
        with pytest.raises(NotComparableError, match=rf"\Amade with other choices: [^\n]*{said}[^\n]*\Z"):
            compare(one, other)
        with pytest.raises(NotComparableError):
            compare(other, one)


def test_other_samples_and_other_reconstructions_are_what_is_compared():
    network, few = StandIn(), Resampling(resamples=0)
    sets = [evaluate_samples(pictures(20, seed=seed), pictures(30, seed=9), network, few) for seed in (1, 2)]
    assert "precision k3 on stand-in" in compare(*sets)
    made = [evaluate_pairs(pictures(5), pictures(5, seed=seed)) for seed in (1, 2)]
    assert "SSIM" in compare(*made)
    reference = evaluate_samples(pictures(20, seed=1), pictures(30, seed=8), network, few)
    with pytest.raises(NotComparableError, match="reference: hash"):
        compare(sets[0], reference)


@catches(SUBJECT, 'name not in ("subject", "seconds")', "name not in MAY_DIFFER")
def test_versions_may_differ_and_are_told_but_for_that_of_the_metrics():
    one, other = evaluated(Darker()), evaluated(Darker())
    other.choices |= {"torch": "2.0", "seconds": 1e6}
    assert f"Also different: torch {one.choices['torch']} and 2.0." in compare(one, other)
    other.choices["vistok-metrics"] = "99"
    with pytest.raises(NotComparableError, match=r"vistok-metrics [^ ]+ and 99"):
        compare(one, other)


@catches(SUBJECT, "if not rows:", "if False:")
def test_evaluations_without_a_common_measure_are_refused():
    with pytest.raises(NotComparableError, match="no measure is in both"):
        compare(Evaluation({}, {"samples": {"a": 1.0}}), Evaluation({}, {"samples": {"b": 1.0}}))
