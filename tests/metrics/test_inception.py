"""Inception beside torch-fidelity's own outputs and ADM's definitions, on random weights; one line where it is not."""

import sys

import pytest
import torch
import torch.nn.functional as F

from _support.mutants import catches
from vistok.metrics import InceptionFeatures

SUBJECT = "vistok.metrics.networks.inception"
PIXELS = torch.randint(0, 256, (2, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def extractor(torchvision_imports):
    """The class of torch-fidelity's network."""
    return pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3


@pytest.fixture(scope="module")
def weights(extractor, tmp_path_factory):
    """Random weights in a file as torch-fidelity publishes its own; batch norms know the statistics of the images."""
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor, "load_state_dict", lambda *_, **__: None)
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *_, **__: {})
        network = extractor("random", ["2048"])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(PIXELS)
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(network.state_dict(), path)
    return path


@catches(SUBJECT, "network.eval()", "network.train()")
@catches(SUBJECT, '"logits_unbiased"]', '"logits"]')
def test_pooled_and_probabilities_are_those_of_torch_fidelity(extractor, weights):
    theirs = extractor("theirs", ["2048", "logits_unbiased"], str(weights)).eval()
    ours = InceptionFeatures(weights)(PIXELS)
    with torch.no_grad():
        pooled, logits = theirs(PIXELS)
    assert torch.equal(ours.pooled, pooled)
    assert torch.equal(ours.probabilities, logits.double().softmax(1).float())
    assert float(pooled.std(0).max()) > 0  # the two images differ
    without_bias = pooled @ theirs.fc.weight.T
    assert torch.allclose(ours.probabilities, without_bias.softmax(1), atol=1e-6)
    assert torch.allclose(ours.probabilities.sum(1), torch.ones(2), atol=1e-6)


def inception_by_hand(network, images):
    """The first layers up to ``mixed_6/conv``, written down from the graph's names with torch-fidelity's blocks."""
    rows, columns = (torch.arange(299) * length / 299 for length in images.shape[2:])

    def bilinear(x, at, dim):
        low = at.long()
        high = (low + 1).clamp(max=x.shape[dim] - 1)
        part = (at - low).view((-1, 1) if dim == 2 else (1, -1))
        return x.index_select(dim, low) * (1 - part) + x.index_select(dim, high) * part

    x = (bilinear(bilinear(images.float(), rows, 2), columns, 3) - 128) / 128
    x = network.Conv2d_2b_3x3(network.Conv2d_2a_3x3(network.Conv2d_1a_3x3(x)))
    x = network.Conv2d_4a_3x3(network.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
    x = network.Mixed_5d(network.Mixed_5c(network.Mixed_5b(F.max_pool2d(x, 3, 2))))  # mixed, mixed_1, mixed_2
    x = network.Mixed_6c(network.Mixed_6b(network.Mixed_6a(x)))  # mixed_3, mixed_4, mixed_5
    block = network.Mixed_6d.branch1x1  # mixed_6/conv
    return F.relu(block.bn(block.conv(x)))


@catches(SUBJECT, "self._network.Mixed_6d", "self._network.Mixed_6e")
@catches(SUBJECT, "spatial_features(self._spatial.pop())", "self._spatial.pop()[:, :7].flatten(1)")
def test_spatial_features_are_the_first_seven_channels_of_mixed_6_in_the_order_of_the_graph(extractor, weights):
    network = extractor("theirs", ["2048"], str(weights)).eval()
    ours = InceptionFeatures(weights)(PIXELS).spatial
    with torch.no_grad():
        maps = inception_by_hand(network, PIXELS)
    assert maps.shape == (2, 192, 17, 17)
    channels_last = maps.permute(0, 2, 3, 1).numpy()  # as TensorFlow has them, sliced and reshaped as ADM does
    expected = torch.from_numpy(channels_last[..., :7].reshape(2, -1))
    assert ours.shape == (2, 2023)
    assert torch.allclose(ours, expected, atol=1e-3 * float(expected.max()))  # the grid is single precision
    assert float(expected.std()) > 0


@catches(SUBJECT, ".expand(-1, 3, -1, -1)", "")
@catches(SUBJECT, "self._spatial.pop()", "self._spatial[0]")
def test_every_call_is_its_own_and_grey_images_are_repeated(weights):
    network = InceptionFeatures(weights)
    first, second = (network(PIXELS[index : index + 1]) for index in range(2))
    assert not torch.equal(first.spatial, second.spatial)
    grey = network(PIXELS[:1, :1])
    repeated = network(PIXELS[:1, :1].repeat(1, 3, 1, 1))
    for ours, theirs in zip(grey, repeated, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    assert not any(part.requires_grad for part in first)


def test_it_says_which_network_and_weights_it_is(weights):
    network = InceptionFeatures(weights)
    assert network.name == "Inception (torch-fidelity)"
    assert "299 x 299" in network.preprocessing
    assert len(network.fingerprint()) == 16
    assert network.fingerprint() == InceptionFeatures(weights).fingerprint()


@catches(SUBJECT, "weights_only=True", "weights_only=False")
def test_a_file_that_holds_code_is_refused(extractor, tmp_path):
    ran = tmp_path / "ran"

    class Code:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    torch.save({"weight": Code()}, tmp_path / "code.pth")
    with pytest.raises(ValueError, match=r"\Aweights of Inception could not be had [^\n]*\Z"):
        InceptionFeatures(tmp_path / "code.pth")
    assert not ran.exists()


@catches(SUBJECT, "except Exception as error:", "except ValueError as error:")
def test_missing_weights_are_one_line_that_helps(extractor, tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise OSError("Name or service\nnot known")

    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", no_network)
    with pytest.raises(ValueError, match=r"\A.* could not be had \(Name or service not known\); give weights=<.*\Z"):
        InceptionFeatures()
    with pytest.raises(ValueError, match=r"\Aweights of Inception must be a file, got '.*nowhere.pth'\Z"):
        InceptionFeatures(tmp_path / "nowhere.pth")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"\Aweights of Inception could not be had [^\n]*\Z"):
        InceptionFeatures(tmp_path / "other.pth")


@catches(SUBJECT, "except ImportError as error:", "except KeyError as error:")
def test_without_torch_fidelity_the_line_says_what_to_install(torchvision_imports, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(
        ValueError, match=r"\AInception features need torch-fidelity .*pip install 'vistok-metrics\[fid"
    ):
        InceptionFeatures()
