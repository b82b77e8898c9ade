"""What a network sees in many images."""

import pytest
import torch

from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from _support.strategies import uniform
from vistok.metrics import BackboneFeatures, FeatureBackbone, Features, from_uint8, perceptual_distance
from vistok.workbench.data import ImageSet
from vistok.workbench.evaluation.features import PairFeatures, network_features

SUBJECT = "vistok.workbench.evaluation.features"


@pytest.fixture(scope="module")
def network():
    return BackboneFeatures(FeatureBackbone(), 64)


def pixels_of(seed, count):
    return (uniform(seed, count, 1, 32, 32) * 127 + 127).byte()


@catches(SUBJECT, "network(to_uint8(batch))", "network((batch * 127).byte())")
@catches(SUBJECT, "stop = min(start + batch_size, len(images))", "stop = min(start + batch_size, len(images) - 1)")
def test_features_of_a_data_set_and_of_its_pixels_agree_for_every_batch_size(network):
    pixels = pixels_of(0, 5)
    data = ImageSet(pixels, torch.zeros(5, dtype=torch.int64), ("all",), "five")
    whole = network_features(network, data)
    assert whole.pooled.shape == (5, network.backbone.dim)
    assert whole.probabilities is None
    for source, size in ((pixels, 2), (data.batch(range(5)), 3)):
        assert torch.allclose(whole.pooled, network_features(network, source, batch_size=size).pooled, atol=1e-4)


@catches(SUBJECT, "torch.cat(probabilities) if probabilities else None", "None")
def test_class_probabilities_are_those_of_every_image_where_there_are_any():
    def grey(images):
        level = images.float().mean((1, 2, 3))[:, None] / 255
        return Features(level, None, torch.cat([level, 1 - level], dim=1))

    pixels = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1) * 51
    found = network_features(grey, pixels, batch_size=2)
    torch.testing.assert_close(found.probabilities[:, 0], torch.linspace(0, 0.8, 5))


class Levels:
    """The grey level of each image, by a network that counts what it sees."""

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        return Features(images.float().mean((1, 2, 3))[:, None])


def seen_on_a_rank(rank):
    network = Levels()
    found = network_features(network, torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1), batch_size=3)
    return found.pooled, network.seen


@catches(SUBJECT, "every = divided(starts, seen)", "every = map(seen, starts)")
def test_two_processes_see_a_part_each_and_have_the_features_of_all():
    (first, here), (second, there) = run_on_two_ranks(seen_on_a_rank)
    assert first.flatten().tolist() == second.flatten().tolist() == list(range(10))
    assert (here, there) == (6, 4)


def test_features_of_nothing_are_an_error(network):
    with pytest.raises(ValueError, match="at least one image"):
        network_features(network, torch.zeros(0, 3, 32, 32))


def distance_by(network, made, real):
    def stages(images):
        return network.backbone.stages(images, image_size=network.image_size)

    return perceptual_distance(stages, from_uint8(made), from_uint8(real))


@catches(SUBJECT, "deque(maxlen=2)", "deque(maxlen=1)")
@catches(SUBJECT, "if torch.equal(seen, placed):", "if False:")
@catches(SUBJECT, "if torch.equal(seen, placed):", "if len(seen) == len(placed):")
def test_features_and_distance_of_a_pair_are_those_of_the_network_and_take_one_pass_a_side(network, monkeypatch):
    pairs = PairFeatures(network)
    assert (pairs.name, pairs.fingerprint()) == (network.name, network.fingerprint())
    made, real = pixels_of(0, 3), pixels_of(1, 3)
    wanted = distance_by(network, made, real)
    for side in (made, real):
        assert torch.equal(pairs(side).pooled, network(side).pooled)
    with monkeypatch.context() as patch:
        patch.delattr(FeatureBackbone, "stages")  # no further pass
        assert torch.equal(pairs.distance(from_uint8(made), from_uint8(real)), wanted)


def test_a_pair_that_was_not_seen_last_is_seen_for_its_distance(network):
    pairs = PairFeatures(network)
    first, second, third = (pixels_of(seed, 3) for seed in range(3))
    for batch in (first, second, third):
        pairs(batch)
    found = pairs.distance(from_uint8(first), from_uint8(third))
    assert torch.equal(found, distance_by(network, first, third))
