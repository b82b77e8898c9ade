"""A backbone as a network that images are compared in: 8-bit pixels in, pooled features and their names out."""

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import BackboneFeatures, FeatureBackbone, Features, from_uint8
from vistok.metrics.networks.features import check_8_bit

SUBJECT = "vistok.metrics.networks.features"
PIXELS = torch.randint(0, 256, (3, 3, 32, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def backbone():
    return FeatureBackbone()


@catches(SUBJECT, "image_size=self.image_size", "image_size=None")
@catches(SUBJECT, "from_uint8(images.to(self.backbone.mean.device))", "images.float() / 255")
def test_features_are_the_backbones_of_images_in_its_range(backbone):
    for size in (64, None):
        seen = BackboneFeatures(backbone, size)(PIXELS)
        assert torch.equal(seen.pooled, backbone.pooled(from_uint8(PIXELS), image_size=size))
        assert (seen.spatial, seen.probabilities, seen.pooled.requires_grad) == (None, None, False)
    grey = PIXELS[:, :1]
    network = BackboneFeatures(backbone)
    assert torch.equal(network(grey).pooled, network(grey.expand(-1, 3, -1, -1)).pooled)


@catches(SUBJECT, "packaged = backbone.name == LITE0 and backbone.weights is None", "packaged = backbone.name == LITE0")
def test_reports_are_told_the_network_the_size_and_the_weights(backbone, torchvision_imports, tmp_path):
    timm = pytest.importorskip("timm")
    network = BackboneFeatures(backbone, 96)
    assert network.name == "Lite0"
    assert network.fingerprint() == backbone.fingerprint()
    assert "to 96 x 96 pixels, bicubic" in network.preprocessing
    assert BackboneFeatures(backbone, None).preprocessing.startswith("at their own size, then")
    for architecture, name in (("tf_efficientnet_lite0", "lite0"), ("test_vit", "test_vit")):
        torch.save(timm.create_model(architecture).state_dict(), tmp_path / "mine.pth")
        own = FeatureBackbone(name, weights=tmp_path / "mine.pth")
        assert BackboneFeatures(own).name == f"{name} (mine.pth)"


@catches(SUBJECT, "image_size is not None and image_size < 1", "False")
def test_a_network_sees_a_pixel_at_least(backbone):
    with pytest.raises(ValueError, match=r"^image_size: expected at least 1 pixel a side, got 0$"):
        BackboneFeatures(backbone, 0)


def test_features_have_what_a_network_gives_and_none_else():
    assert Features(PIXELS)._asdict() == {"pooled": PIXELS, "spatial": None, "probabilities": None}


@catches(SUBJECT, "if images.dtype != torch.uint8:", "if images.is_complex():")
@catches(SUBJECT, "images.shape[1] not in (1, 3)", "images.shape[1] > 3")
def test_what_is_no_8_bit_image_is_one_line(backbone):
    network = BackboneFeatures(backbone)
    with pytest.raises(TypeError, match=r"^images must be uint8, got torch.float32; vistok.metrics.to_uint8 .*$"):
        network(from_uint8(PIXELS))
    for wrong in (PIXELS[0], PIXELS[:, :2]):
        with pytest.raises(ValueError, match=r"^images must be \(B, 1 or 3, H, W\), got"):
            check_8_bit(wrong)
