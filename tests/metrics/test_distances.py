"""Beside a Frechet distance stands its spread, beside that of samples its value at infinity, each by its own draws."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.metrics import (
    Evaluation,
    FeatureStatistics,
    Resampling,
    bootstrap_interval,
    frechet_distance,
    frechet_distance_infinity,
)
from vistok.metrics.harness import distances
from vistok.metrics.harness.distances import add_distance, add_distance_of_pairs

SUBJECT = "vistok.metrics.harness.distances"
SAMPLES, REAL = normal(0, 60, 3), normal(1, 80, 3) + 0.5


def measured(resampling, kept=SAMPLES, sides=(SAMPLES, REAL)):
    found = Evaluation()
    add_distance(found, "samples", sides, kept, resampling)
    return found


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@catches(SUBJECT, "_QUANTILE * deviation", "deviation")
@catches(SUBJECT, "manual_seed(self.seed)", "manual_seed(0)")
@catches(SUBJECT, '"resamples": resampling.resamples', '"resamples": 20')
@pytest.mark.parametrize("statistics", [False, True])
def test_the_numbers_are_those_of_the_functions(statistics):
    reference = FeatureStatistics(3)
    reference.update(REAL)
    sides = (SAMPLES, reference) if statistics else (SAMPLES, REAL)
    found = measured(Resampling(seed=3, resamples=5), sides=sides).measures["samples"]
    infinity = frechet_distance_infinity(SAMPLES, REAL, generator=seeded(3))
    spread = bootstrap_interval(lambda some: frechet_distance(some, REAL), SAMPLES, generator=seeded(3), resamples=5)
    assert found == pytest.approx(
        {
            "frechet_distance": frechet_distance(SAMPLES, REAL),
            "frechet_distance_at_infinity": infinity.value,
            "frechet_distance_deviation": spread.deviation,
            "frechet_distance_margin_of_error": 1.96 * spread.deviation,
        },
        rel=1e-6,
    )


@catches(SUBJECT, "if not resampling.resamples:", "if resampling.resamples < 0:")
def test_no_resamples_leave_the_spread_out_and_change_nothing_else():
    whole = measured(Resampling(resamples=3)).measures["samples"]
    found = measured(Resampling(resamples=0))
    assert found.measures["samples"] == {
        name: whole[name] for name in ("frechet_distance", "frechet_distance_at_infinity")
    }
    assert found.left_out == {}


@catches(SUBJECT, "frechet_distance(sides[0], reference())", "frechet_distance(kept, reference())")
def test_the_distance_is_of_all_where_some_are_kept():
    found = measured(Resampling(resamples=0), kept=SAMPLES[:45]).measures["samples"]
    assert found["frechet_distance"] == frechet_distance(SAMPLES, REAL)
    some = frechet_distance_infinity(SAMPLES[:45], REAL, generator=seeded(0))
    assert found["frechet_distance_at_infinity"] == some.value


@catches(SUBJECT, "cache(partial(", "(partial(")
def test_the_reference_is_decomposed_once_for_all_three(monkeypatch):
    factored, given = [], distances.gaussian_factor
    monkeypatch.setattr(distances, "gaussian_factor", lambda *side: factored.append(side) or given(*side))
    assert len(measured(Resampling(resamples=3)).measures["samples"]) == 4
    assert len(factored) == 1


def test_one_image_leaves_all_three_out():
    found = measured(Resampling(resamples=3), kept=SAMPLES[:1], sides=(SAMPLES[:1], REAL))
    assert found.measures == {}
    assert {name.removeprefix("samples: ") for name in found.left_out} == {
        "frechet_distance",
        "frechet_distance_at_infinity",
        "frechet_distance_deviation",
    }


@catches(SUBJECT, "count // _ONE_IN <= dim", "count // _ONE_IN < dim")
def test_too_few_samples_for_a_straight_line_have_no_value_at_infinity():
    for count, there in ((39, False), (40, True)):
        found = measured(Resampling(resamples=2), kept=SAMPLES[:count], sides=(SAMPLES[:count], REAL))
        assert ("frechet_distance_at_infinity" in found.measures["samples"]) == there
        assert {"frechet_distance", "frechet_distance_deviation"} <= set(found.measures["samples"])
    few = measured(Resampling(resamples=2), kept=SAMPLES[:39])
    assert few.left_out == {
        "samples: frechet_distance_at_infinity": "the line is straight for at least 40 samples of 3 features, got 39"
    }


def of_pairs(made, originals, resamples=40):
    found = Evaluation()
    add_distance_of_pairs(found, "pairs", (made, originals), (made, originals), Resampling(resamples=resamples))
    return found


@catches(SUBJECT, "frechet_distance(made[drawn], originals[drawn])", "frechet_distance(made[drawn], originals)")
@catches(SUBJECT, "frechet_distance(*sides)", "frechet_distance(sides[0], kept[1][:20])")
def test_where_nothing_is_lost_the_distance_of_pairs_is_sure():
    found = of_pairs(REAL, REAL).measures["pairs"]
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-12)
    assert set(found) == {
        "frechet_distance",
        "frechet_distance_deviation",
        "frechet_distance_margin_of_error",
    }


@catches(SUBJECT, "frechet_distance(made[drawn], originals[drawn])", "frechet_distance(made[drawn], originals)")
def test_the_spread_of_pairs_is_that_of_other_sets_of_as_many_pairs():
    sets = normal(2, 200, 80, 3)
    true = torch.tensor([frechet_distance(0.9 * some, some) for some in sets.unbind()]).std().item()
    found = of_pairs(0.9 * sets[0], sets[0]).measures["pairs"]
    assert 0.6 * true < found["frechet_distance_deviation"] < 1.6 * true


def test_pairs_have_no_value_at_infinity_and_one_pair_no_distance():
    found = of_pairs(REAL, REAL + 1, resamples=0)
    assert set(found.measures["pairs"]) == {"frechet_distance"}
    assert found.left_out == {}
    assert set(of_pairs(REAL[:1], REAL[:1]).left_out) == {
        "pairs: frechet_distance",
        "pairs: frechet_distance_deviation",
    }


@catches(SUBJECT, 'f"resampling: {name}"', "name")
@catches(SUBJECT, "self.resamples == 1 or", "")
def test_choices_say_what_is_drawn_and_refuse_what_cannot_be():
    assert Resampling(1, 2, 3).choices() == {"resampling: seed": 1, "resampling: resamples": 2, "resampling: kept": 3}
    for wrong in (Resampling(resamples=1), Resampling(resamples=-1), Resampling(kept=0)):
        with pytest.raises(ValueError, match=r"^expected 0 or at least 2 resamples and at least 1 kept image, got"):
            wrong.choices()
