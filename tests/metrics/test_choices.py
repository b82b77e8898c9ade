"""What stands beside a number says what it was measured in, and from what."""

from importlib import metadata

import pytest
import torch
from torch import nn

from _support.mutants import catches
from _support.stand_in_network import StandIn
from vistok.metrics import GaussianStatistics, ReferenceStatistics
from vistok.metrics.harness.choices import of_images, of_network, of_statistics, of_tokenizer, versions

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


class Wrapped:
    """A tokenizer that is no module, and has one and a codebook."""

    def __init__(self, network, codebook=None):
        self.network, self.codebook = network, codebook


@catches(SUBJECT, "fingerprint(weights)", "str(len(weights))")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tokenizers_are_told_apart_by_their_weights(dtype):
    one, same, other = (nn.Sequential(nn.Linear(2, 3)).to(dtype) for _ in range(3))
    same.load_state_dict(one.state_dict())
    codes = torch.ones(2, dtype=dtype)
    for make in (
        lambda network: network,
        Wrapped,
        lambda network: Wrapped(None, network[0].weight),
        lambda network: Wrapped([network]),
        lambda network: Wrapped({"decoder": network}),
        lambda network: Wrapped(Wrapped(network)),
    ):
        assert list(of_tokenizer(make(one))) == ["tokenizer weights"]
        assert of_tokenizer(make(one)) == of_tokenizer(make(same)) != of_tokenizer(make(other))
    assert of_tokenizer(Wrapped(one, codes)) != of_tokenizer(Wrapped(one, 2 * codes))
    assert of_tokenizer(object()) == of_tokenizer(Wrapped(None)) == of_tokenizer(Wrapped(torch)) == {}
    ring = Wrapped(one)
    ring.codebook = ring
    assert len(of_tokenizer(ring)) == 1
