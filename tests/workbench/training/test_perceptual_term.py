"""The perceptual term: LPIPS from released files, or a backbone whose weights come from a file."""

import pytest
import torch

from _support.mutants import catches
from vistok.losses import LPIPS, PerceptualLoss, VGG16Features
from vistok.metrics import FeatureBackbone
from vistok.workbench.config import ConfigError
from vistok.workbench.data import load_images
from vistok.workbench.recipe_config import PerceptualConfig
from vistok.workbench.training.perceptual_term import perceptual_term

SUBJECT = "vistok.workbench.training.perceptual_term"


def term(**settings):
    return perceptual_term(PerceptualConfig(**settings), PerceptualLoss, LPIPS.from_weights)


@pytest.fixture(scope="module")
def images():
    return load_images("digits", image_size=16).train.batch(torch.arange(8))


@pytest.fixture(scope="module")
def lpips_files(tmp_path_factory):
    """Files as they are released: torchvision's VGG16 with a classifier, and the channel weights."""
    torch.manual_seed(4)
    folder = tmp_path_factory.mktemp("lpips")
    network = VGG16Features()
    torch.save({**network.state_dict(), "classifier.0.bias": torch.zeros(3)}, folder / "vgg16.pth")
    widths = (64, 128, 256, 512, 512)
    heads = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(widths)}
    torch.save(heads, folder / "vgg.pth")
    return folder, network, [head.flatten() for head in heads.values()]


@catches(SUBJECT, "x.float().expand(-1, 3, -1, -1) for x", "x.float().expand(-1, 3, -1, -1) / 2 for x")
def test_lpips_is_the_perceptual_term_with_the_weights_of_its_files(lpips_files, images):
    folder, network, heads = lpips_files
    files = {"perceptual_weights": str(folder / "vgg16.pth"), "perceptual_heads": str(folder / "vgg.pth")}
    lpips = term(perceptual="lpips", **files)
    other = images.flip(-1).requires_grad_()
    value = lpips(other, images)
    shift, scale = (torch.tensor(x)[:, None, None] for x in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
    with torch.no_grad():
        pair = [network((x.expand(-1, 3, -1, -1) - shift) / scale) for x in (other, images)]
        units = [[f / (f.norm(dim=1, keepdim=True) + 1e-10) for f in side] for side in pair]
        gaps = [(a - b).square().mean((0, 2, 3)) for a, b in zip(*units, strict=True)]
        expected = sum((gap * head).sum() for gap, head in zip(gaps, heads, strict=True))
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6)
    value.backward()
    assert other.grad.abs().max() > 0
    assert not any(p.requires_grad for p in lpips.parameters())


@catches(SUBJECT, "weights=weights, num_stages", "num_stages")
@catches(SUBJECT, "num_stages=config.perceptual_stages", "num_stages=3")
def test_a_backbone_has_the_weights_and_the_stages_of_its_settings(images, backbone_file):
    settings = {"perceptual_weights": str(backbone_file), "perceptual_stages": 2}
    network = FeatureBackbone("lite0", weights=backbone_file, num_stages=2)
    pair = [(x.expand(-1, 3, -1, -1)) for x in (images.flip(-1), images)]
    assert torch.equal(term(**settings)(images.flip(-1), images), PerceptualLoss(network)(*pair))


@catches(SUBJECT, "if not config.perceptual_weight:", "if config.perceptual_weight is None:")
def test_without_a_weight_there_is_no_term():
    assert term(perceptual_weight=0) is None


def test_files_that_lpips_cannot_use_are_told_in_one_line(lpips_files, backbone_file):
    folder, *_ = lpips_files
    with pytest.raises(ConfigError, match=r"lite0.safetensors: expected VGG16, got no features.0.weight") as error:
        term(perceptual="lpips", perceptual_weights=str(backbone_file))
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="must hold lin0"):
        term(perceptual="lpips", perceptual_weights=str(folder / "vgg16.pth"))
