"""Feature networks by the names that commands take."""

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import BackboneFeatures, open_network
from vistok.metrics.networks import by_name as module

SUBJECT = "vistok.metrics.networks.by_name"


@catches(SUBJECT, "weights=weights).to(device), image_size)", "weights=weights).to(device))")
def test_a_backbone_is_opened_at_its_size():
    network = open_network("lite0", image_size=64)
    assert isinstance(network, BackboneFeatures)
    assert (network.name, network.image_size) == ("Lite0", 64)
    images = torch.zeros(1, 1, 20, 20, dtype=torch.uint8)
    assert network(images).pooled.shape == (1, 1280)


@catches(SUBJECT, ".to(device)", "")
def test_a_network_is_brought_to_the_device():
    assert open_network("lite0", device="meta").backbone.mean.device.type == "meta"


@catches(SUBJECT, "if name == INCEPTION:", 'if name == "Inception":')
def test_inception_is_given_its_weights_and_the_device(monkeypatch):
    given = []
    monkeypatch.setattr(module, "InceptionFeatures", lambda *path, **rest: given.append((path, rest)))
    open_network("inception", weights="file.pth", device="cuda:1")
    assert given == [(("file.pth",), {"device": "cuda:1"})]


def test_a_network_that_there_is_not_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"\Abackbone must be 'lite0' or a timm model name, got 'lite'[^\n]*\Z"):
        open_network("lite")
    with pytest.raises(ValueError, match=r"\A[^\n]*must be a file, got [^\n]*\Z"):
        open_network("lite0", weights=tmp_path / "nowhere.pth")
