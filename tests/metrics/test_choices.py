"""What stands beside a number says what it was measured in, and from what."""

from importlib import metadata

import torch

from _support.mutants import catches
from _support.stand_in_network import StandIn
from vistok.metrics import GaussianStatistics, ReferenceStatistics
from vistok.metrics.harness.choices import of_images, of_network, of_statistics, versions

SUBJECT = "vistok.metrics.harness.choices"


@catches(SUBJECT, "str(torch.__version__)", "torch.__version__")
def test_versions_are_plain_text_of_what_is_installed(monkeypatch):
    found = versions()
    assert {type(value) for value in found.values()} == {str}
    assert found["torch"] == torch.__version__
    assert found["pillow"] == metadata.version("pillow")

    def nothing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", nothing)
    assert versions()["vistok-metrics"] == "unknown"


@catches(SUBJECT, "network.fingerprint()", "network.name")
def test_a_network_is_told_with_its_weights_and_none_says_nothing():
    assert of_network(None) == {}
    assert of_network(StandIn()) == {
        "network": "stand-in",
        "network weights": "0123456789abcdef",
        "network preprocessing": "none",
    }


def test_what_a_source_says_is_told_under_what_its_images_are():
    assert of_images("samples", {"crop": "none", "count": "3"}) == {"samples: crop": "none", "samples: count": "3"}


@catches(SUBJECT, "statistics.features._asdict()", "dict(mean=statistics.features.mean)")
def test_statistics_are_told_apart_by_their_values():
    statistics = GaussianStatistics(torch.zeros(2), torch.eye(2))
    moved, wider = statistics._replace(mean=torch.ones(2)), statistics._replace(covariance=2 * torch.eye(2))
    told = [of_statistics(ReferenceStatistics(each), "train.npz") for each in (statistics, statistics, moved, wider)]
    assert told[0] == told[1]
    assert told[0]["reference: source"] == "statistics train.npz"
    assert len({each["reference: hash"] for each in told}) == 3
