"""Samples are measured beside images or statistics; what the data or the network do not allow is said."""

import numpy as np
import pytest
import torch

from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from _support.stand_in_network import StandIn, pictures
from vistok.metrics import (
    FeatureStatistics,
    ReferenceStatistics,
    Resampling,
    evaluate_samples,
    frechet_distance,
    frechet_distance_infinity,
    inception_score,
    kernel_distance,
    measure_statistics,
    neighbour_measures,
    read_evaluation,
    write_reference_statistics,
)
from vistok.metrics.harness import samples as module
from vistok.metrics.harness import streamed_pass

SUBJECT = "vistok.metrics.harness.samples"
DRAWN, REAL = pictures(60), pictures(75, seed=1)
FEW = Resampling(resamples=3)


def evaluated(samples=DRAWN, reference=REAL, *, rich=True, resampling=FEW, **rest):
    return evaluate_samples(samples, reference, StandIn(rich=rich), resampling, batch_size=16, **rest)


@catches(SUBJECT, "neighbour_measures(_needed(real), samples", "neighbour_measures(samples, _needed(real)")
@catches(
    SUBJECT, "network(real.batch(others)), torch.tensor(others))", "network(drawn.batch(others)), torch.tensor(others))"
)
@catches(SUBJECT, "if others and real is not None:", "elif others and real is not None:")
def test_numbers_are_those_of_all_features_at_once():
    found = evaluated()
    one, other = StandIn(rich=True)(DRAWN), StandIn(rich=True)(REAL)
    draws = torch.Generator().manual_seed(0)
    expected = {
        "frechet_distance": frechet_distance(one.pooled, other.pooled),
        "spatial_frechet_distance": frechet_distance(one.spatial, other.spatial),
        "frechet_distance_at_infinity": frechet_distance_infinity(one.pooled, other.pooled, generator=draws).value,
        "kernel_distance_of_all_images": kernel_distance(one.pooled, other.pooled),
    }
    score = inception_score(one.probabilities, splits=10, seed=0)
    expected |= {"inception_score": score.mean, "inception_score_deviation": score.deviation}
    for k, figures in neighbour_measures(other.pooled, one.pooled, k=(3, 5)).items():
        expected |= {f"{name}_k{k}": value for name, value in figures._asdict().items()}
    measured = found.measures["samples"]
    assert {name: measured[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert set(measured) - set(expected) == {"frechet_distance_deviation", "frechet_distance_margin_of_error"}
    assert found.left_out == {}
    assert (found.choices["count"], found.choices["reference: count"]) == (60, "75")


@catches(SUBJECT, "return statistics, None", "return None, None")
@catches(SUBJECT, '"mu.npy" in held', '"mu_s.npy" in held')
def test_statistics_of_the_reference_give_the_distances_that_its_images_give(tmp_path):
    whole = evaluated().measures["samples"]
    statistics = measure_statistics(REAL, StandIn(rich=True))
    write_reference_statistics(tmp_path / "adm.npz", statistics)
    write_reference_statistics(tmp_path / "fid.npz", statistics._replace(spatial=None))
    for reference in (tmp_path / "adm.npz", str(tmp_path / "fid.npz"), statistics):
        found = evaluated(reference=reference)
        measured = found.measures["samples"]
        left_out = {"samples: kernel_distance", "samples: precision, recall, density, coverage"}
        left_out |= {"samples: spatial_frechet_distance"} if "fid" in str(reference) else set()
        assert set(found.left_out) == left_out
        assert measured == pytest.approx({name: whole[name] for name in measured}, rel=1e-6, abs=1e-6)
        assert {"frechet_distance", "frechet_distance_at_infinity", "inception_score"} <= set(measured)
        assert found.choices["reference: hash"].startswith("mean and covariance ")


@catches(SUBJECT, '"arr_0.npy" not in held', "True")
def test_an_archive_with_statistics_and_images_gives_all(tmp_path):
    """As ADM's have: statistics of all images, and some of the images."""
    statistics = measure_statistics(REAL, StandIn(rich=True))
    arrays = {"mu": statistics.features.mean.numpy(), "sigma": statistics.features.covariance.numpy()}
    some = REAL[:30]
    np.savez(tmp_path / "adm.npz", arr_0=some.permute(0, 2, 3, 1).numpy(), **arrays)
    for reference in (tmp_path / "adm.npz", statistics._replace(images=some)):
        found = evaluated(reference=reference).measures["samples"]
        assert found["frechet_distance"] == pytest.approx(evaluated().measures["samples"]["frechet_distance"], rel=1e-6)
        assert found["recall_k3"] == evaluated(reference=some).measures["samples"]["recall_k3"]


def test_a_network_without_probabilities_and_spatial_features_says_so():
    found = evaluated(rich=False)
    assert found.left_out == {
        "samples: spatial_frechet_distance": "the network has no spatial features",
        "samples: inception_score": "the network gives no probabilities of classes",
    }
    assert found.measures["samples"]["precision_k3"] <= 1


def test_what_few_samples_do_not_allow_is_left_out_and_the_rest_is_there():
    for count, there, missing in (
        (1, set(), {"frechet_distance", "kernel_distance", "inception_score"}),
        (2, {"frechet_distance"}, {"frechet_distance_at_infinity", "inception_score"}),
        (30, {"kernel_distance_of_all_images", "precision_k5"}, {"frechet_distance_at_infinity"}),
        (50, {"frechet_distance_at_infinity", "kernel_distance_of_all_images", "precision_k5"}, set()),
    ):
        found = evaluated(pictures(count))
        assert there <= set(found.measures.get("samples", {}))
        assert {f"samples: {name}" for name in missing} <= set(found.left_out)
        assert all("\n" not in why for why in found.left_out.values())


@catches(SUBJECT, "capacity=resampling.kept, seed=resampling.seed", "seed=resampling.seed")
def test_features_that_are_kept_one_by_one_are_bounded_and_the_distance_is_of_all():
    found = evaluated(resampling=Resampling(resamples=0, kept=20)).measures["samples"]
    whole = evaluated().measures["samples"]
    assert found["frechet_distance"] == pytest.approx(whole["frechet_distance"], rel=1e-9)
    assert found["kernel_distance_of_all_images"] != pytest.approx(whole["kernel_distance_of_all_images"], rel=1e-3)
    assert "frechet_distance_deviation" not in found


@catches(SUBJECT, "min(len(samples), len(real)) < SUBSET", "len(samples) < SUBSET")
def test_the_kernel_distance_is_of_subsets_where_both_sides_have_as_many(monkeypatch):
    monkeypatch.setattr(module, "SUBSET", 60)
    found = evaluated().measures["samples"]
    assert found["kernel_distance"] == pytest.approx(found["kernel_distance"], abs=1e3)
    assert "kernel_distance_deviation" in found
    monkeypatch.setattr(module, "SUBSET", 50)
    assert "kernel_distance_of_all_images" in evaluated(reference=REAL[:40]).measures["samples"]


def of_rank(rank, folder):
    own = folder / str(rank)
    return evaluated(folder=own).measures, sorted(path.name for path in own.iterdir())


@catches(SUBJECT, "own_rank().number == 0", "own_rank().number >= 0")
def test_two_processes_give_what_one_gives_and_the_first_writes(tmp_path):
    alone = evaluated().measures["samples"]
    for rank, (found, written) in enumerate(run_on_two_ranks(of_rank, tmp_path)):
        assert found["samples"] == pytest.approx(alone, rel=1e-9)
        assert written == ([] if rank else ["evaluation.html", "evaluation.json", "evaluation.md"])


@catches(SUBJECT, "        forget_pass(place)\n", "")
@catches(SUBJECT, "folder=place, choices=choices", "folder=None, choices=choices")
def test_an_evaluation_that_was_stopped_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed_pass, "KEEP_EVERY", 0.0)
    calls = []

    class Stopping(StandIn):
        def __call__(self, images):
            calls.append(len(images))
            if len(calls) == 7:
                raise KeyboardInterrupt
            return super().__call__(images)

    def run():
        return evaluate_samples(DRAWN, REAL, Stopping(rich=True), FEW, batch_size=16, folder=tmp_path)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert [path.name for path in tmp_path.iterdir()] == ["unfinished-0-of-1.pt"]
    found = run()
    assert sum(calls) < 60 + 75 + 1 + 1 + 2 * 16
    assert found.measures == evaluated().measures
    assert read_evaluation(tmp_path) == found
    assert not list(tmp_path.glob("unfinished*"))


class Counting(StandIn):
    """How many images it has seen."""

    seen = 0

    def __call__(self, images):
        self.seen += len(images)
        return super().__call__(images)


@catches(SUBJECT, "if given is not None and own is not None and len(given.mean) != own.shape[1]:", "if False:")
@catches(SUBJECT, '("spatial features", statistics.spatial', '("spatial features", None')
def test_statistics_of_another_network_are_one_line_before_the_pass():
    statistics = FeatureStatistics(5)
    statistics.update(torch.randn(9, 5))
    for reference, words in (
        (ReferenceStatistics(statistics.compute()), "statistics given: expected 4 features, as stand-in gives, got 5"),
        (
            measure_statistics(REAL, StandIn(rich=True))._replace(spatial=statistics.compute()),
            "statistics given: expected 9 spatial features, as stand-in gives, got 5",
        ),
    ):
        network = Counting(rich=True)
        with pytest.raises(ValueError, match=rf"\Areference, {words}\Z"):
            evaluate_samples(DRAWN, reference, network, FEW)
        assert network.seen == 1  # before the pass


@catches(SUBJECT, "if real is not None:\n        check_one_size", "if False:\n        check_one_size")
def test_samples_and_reference_of_another_size_are_not_compared():
    for reference, size in (
        (pictures(20, size=12), "12 x 12 with 3 channels"),
        (pictures(20, channels=1), "16 x 16 with 1 channels"),
        (measure_statistics(REAL, StandIn(rich=True))._replace(images=REAL[..., :8]), "8 x 16 with 3 channels"),
    ):
        words = f"samples and reference must have one size, got 16 x 16 with 3 channels and {size}"
        with pytest.raises(ValueError, match=rf"\A{words}\Z"):
            evaluated(reference=reference)
    assert "recall_k3" in evaluated(reference=pictures(75, size=20), image_size=16, crop="adm").measures["samples"]
