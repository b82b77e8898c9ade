"""Whether networks can be built and fit, found out without computing anything."""

from types import SimpleNamespace

import pytest
import torch

from _support.mutants import catches
from vistok.workbench.backbones.meta_build import building, check_backbone, check_network, check_perceptual, remembered
from vistok.workbench.config import Config, ConfigError
from vistok.workbench.recipe_config import EvaluateConfig, PerceptualConfig

SUBJECT = "vistok.workbench.backbones.meta_build"


class Settings(Config):
    width: int = 8


@catches(
    SUBJECT,
    "            check(config)\n            passed.add(key)",
    "            passed.add(key)\n            check(config)",
)
@catches(SUBJECT, "            passed.add(key)", "            pass")
@catches(SUBJECT, "config.model_dump_json()", "type(config).__name__")
def test_a_check_is_made_once_for_equal_configurations_and_again_until_it_passes():
    asked = []

    @remembered
    def check(config):
        """What it says."""
        asked.append(config.width)
        if config.width < 8:
            raise ConfigError("too narrow")

    assert check.__doc__ == "What it says."
    for width in (8, 8, 9, 8):
        check(Settings(width=width))
    assert asked == [8, 9]
    for _ in range(2):
        with pytest.raises(ConfigError, match="too narrow"):
            check(Settings(width=4))
    assert asked == [8, 9, 4, 4]


@catches(SUBJECT, 'with torch.device("meta"):\n            yield', 'with torch.device("cpu"):\n            yield')
def test_tensors_have_shapes_and_no_values_while_it_is_built():
    with building("tokenizer"):
        out = torch.nn.Linear(3, 1_000_000)(torch.empty(2, 3))
    assert (out.device.type, out.shape) == ("meta", (2, 1_000_000))
    assert torch.empty(1).device.type == "cpu"


@catches(SUBJECT, 'except ConfigError as error:\n        raise ConfigError(f"{section}: {error}") from None\n    ', "")
@catches(SUBJECT, 'raise ConfigError(f"{section}: {_one_line(error)}") from error', "raise")
@catches(SUBJECT, "except Exception as error:", "except ArithmeticError as error:")
def test_whatever_fails_is_one_line_of_the_section():
    for error, message in (
        (ConfigError("width: too narrow" + "!" * 300), "tokenizer: width: too narrow" + "!" * 300),
        (ValueError("depth must\nbe even"), "tokenizer: depth must be even"),
        (RuntimeError("shapes\n  differ"), "tokenizer: does not fit together (RuntimeError: shapes differ)"),
        (KeyError("x" * 1000), f"tokenizer: does not fit together (KeyError: '{'x' * 249})"),
    ):
        with pytest.raises(ConfigError) as caught, building("tokenizer"):
            raise error
        assert str(caught.value) == message
        if not isinstance(error, ConfigError):
            assert caught.value.__cause__ is error


@catches(SUBJECT, "if settings.perceptual_stages > count:", "if settings.perceptual_stages > count + 1:")
@catches(
    SUBJECT, "if path is not None and not Path(path).is_file():", "if path is not None and not Path(path).exists():"
)
def test_a_perceptual_term_needs_its_network_its_stages_and_its_files(tmp_path, torchvision_imports):
    file = tmp_path / "w.pth"
    file.touch()
    given = {"perceptual_weights": str(file), "perceptual_heads": str(file)}
    check_perceptual("losses", PerceptualConfig(perceptual_stages=5), 33)
    check_perceptual("losses", PerceptualConfig(perceptual="lpips", perceptual_stages=9, **given), 33)
    for settings, message in (
        ({"perceptual_stages": 6}, r"losses\.perceptual_stages: expected 1 to 5 for lite0, got 6$"),
        ({"perceptual_backbone": "resnet5"}, r"losses\.perceptual_backbone: backbone must be 'lite0' or a timm model"),
        ({"perceptual_weights": "no.pth"}, r"losses\.perceptual_weights: expected a file, got 'no\.pth'$"),
        (
            {**given, "perceptual": "lpips", "perceptual_heads": str(tmp_path)},
            r"\.perceptual_heads: expected a file",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            check_perceptual("losses", PerceptualConfig(**settings), 32)


@catches(SUBJECT, '_stages(f"{section}.backbone", settings.backbone, image_size)', "5")
@catches(SUBJECT, 'getattr(settings, "weights", None)', "settings.weights")
def test_a_backbone_needs_its_network_and_its_file(torchvision_imports):
    assert check_backbone("alignment", SimpleNamespace(backbone="lite0"), 33) == 5  # a section without weights
    check_backbone("evaluations.large", EvaluateConfig(), 32)
    with pytest.raises(ConfigError, match=r"^evaluations\.large\.backbone: backbone must be .* got 'dinov9'"):
        check_backbone("evaluations.large", EvaluateConfig(backbone="dinov9"), 32)
    with pytest.raises(ConfigError, match=r"^evaluations\.large\.weights: expected a file, got 'no\.pth'$"):
        check_backbone("evaluations.large", EvaluateConfig(weights="no.pth"), 32)


@catches(SUBJECT, "        backbone.check_size(image_size)\n", "")
@catches(SUBJECT, "check_backbone(section, settings, settings.image_size)", "check_backbone(section, settings, 32)")
@catches(SUBJECT, 'with torch.device("meta"):\n            backbone', 'with torch.device("cpu"):\n            backbone')
def test_a_backbone_sees_images_of_the_size_that_they_will_have(torchvision_imports):
    """Nothing of it is downloaded to know."""
    name = "vit_tiny_patch16_224"
    assert check_backbone("discriminator", SimpleNamespace(backbone=name), 32) == 12
    check_perceptual("losses", PerceptualConfig(perceptual_backbone=name), 32)
    check_network("evaluations.fine", EvaluateConfig(backbone=name, image_size=64))
    told = rf"image_size: expected a multiple of 16 for '{name}', got 40$"
    with pytest.raises(ConfigError, match=rf"^discriminator\.backbone: {told}"):
        check_backbone("discriminator", SimpleNamespace(backbone=name), 40)
    with pytest.raises(ConfigError, match=rf"^losses\.perceptual_backbone: {told}"):
        check_perceptual("losses", PerceptualConfig(perceptual_backbone=name), 40)
    with pytest.raises(ConfigError, match=rf"^evaluations\.fine\.backbone: {told}"):
        check_network("evaluations.fine", EvaluateConfig(backbone=name, image_size=40))


@catches(SUBJECT, "if settings.backbone == INCEPTION:", "if False:")
def test_an_evaluation_may_be_of_inception_whose_file_is_looked_for(torchvision_imports, tmp_path):
    settings = EvaluateConfig(backbone="inception")
    check_network("evaluations.fid", settings)
    with pytest.raises(ConfigError, match=r"evaluations\.fid\.weights: expected a file, got 'nowhere\.pth'"):
        check_network("evaluations.fid", settings.model_copy(update={"weights": "nowhere.pth"}))
    with pytest.raises(ConfigError, match=r"evaluations\.fid\.backbone: "):
        check_network("evaluations.fid", settings.model_copy(update={"backbone": "inceptionn"}))
    with pytest.raises(ConfigError, match=r"fid\.reference_statistics: expected a file, got 'none\.npz'"):
        check_network("evaluations.fid", settings.model_copy(update={"reference_statistics": "none.npz"}))
