"""The discriminator by configuration: heads over a frozen backbone, LeCam beside its loss, both exact when resumed."""

import shutil

import pytest
import torch

from _support.mutants import catches
from _support.semtok_runs import pictures, tiny
from semtok.config import DiscriminatorConfig
from semtok.discriminator import RegularisedDiscriminatorLoss, build_discriminator
from semtok.networks import check_networks
from semtok.train_refiner import train_refiner
from vistok.losses import PatchGANDiscriminator, discriminator_loss
from vistok.metrics import FeatureBackbone
from vistok.workbench.config import ConfigError
from vistok.workbench.run.checkpoint import load_latest_checkpoint

SUBJECT = "semtok.discriminator"
HEADS = DiscriminatorConfig(kind="features", stages=2)


@catches(SUBJECT, 'settings.kind == "patchgan"', 'settings.kind != "patchgan"')
@catches(SUBJECT, "num_stages=settings.stages", "num_stages=1")
def test_heads_look_at_as_many_stages_of_the_backbone_as_are_asked_for():
    heads = build_discriminator(HEADS, 1, 16)
    patchgan = build_discriminator(DiscriminatorConfig(base_width=8, num_layers=1), 1, 16)
    maps = FeatureBackbone(num_stages=2)(pictures())
    assert heads(pictures()).shape == (3, sum(part[0, 0].numel() for part in maps))
    assert isinstance(patchgan, PatchGANDiscriminator)
    learning = [name for name, weight in heads.named_parameters() if weight.requires_grad]
    assert learning
    assert all(name.startswith("heads") for name in learning)


@catches(SUBJECT, "self.weight * self.lecam(real_logits, fake_logits)", "self.lecam(real_logits, fake_logits)")
@catches(SUBJECT, "decay=settings.lecam_decay", "decay=0.999")
def test_lecam_is_weighted_beside_the_adversarial_loss():
    """In a second step: means of both, moved by a tenth, on either side; by hand."""
    settings = DiscriminatorConfig(lecam_weight=0.5, lecam_decay=0.9)
    loss = RegularisedDiscriminatorLoss("hinge", settings)
    loss(torch.tensor([1.0]), torch.tensor([-2.0]))
    real, fake = torch.tensor([3.0]), torch.tensor([1.0])
    distance = (3 - (0.9 * -2 + 0.1 * 1)) ** 2 + (1 - (0.9 * 1 + 0.1 * 3)) ** 2
    expected = discriminator_loss(real, fake, kind="hinge").item() + 0.5 * distance
    assert loss(real, fake).item() == pytest.approx(expected)


def test_without_a_weight_there_is_no_lecam():
    loss = RegularisedDiscriminatorLoss("vanilla", DiscriminatorConfig())
    assert loss.lecam is None
    real, fake = torch.tensor([3.0, -1.0]), torch.tensor([1.0])
    assert torch.equal(loss(real, fake), discriminator_loss(real, fake, kind="vanilla"))


def test_a_discriminator_that_cannot_be_built_is_told_before_anything_trains():
    with pytest.raises(ConfigError, match=r"\Adiscriminator: kernel_size must be odd"):
        check_networks(tiny("discriminator.kind=features", "discriminator.kernel_size=4"))
    with pytest.raises(ConfigError, match=r"\Adiscriminator.backbone: "):
        check_networks(tiny("discriminator.kind=features", "discriminator.backbone=nothing"))
    with pytest.raises(ConfigError, match=r"\Adiscriminator: stages: expected 1 to 5 for lite0, got 6"):
        check_networks(tiny("discriminator.kind=features", "discriminator.stages=6"))
    check_networks(tiny("discriminator.kind=features", "discriminator.lecam_weight=0.1"))


@catches(SUBJECT, "if side**2 < settings.kernel_size // 2", "if False")
@catches(SUBJECT, "-(-image_size //", "(image_size //")
def test_heads_that_are_wider_than_their_features_are_refused():
    """Of 17 pixels the second stage has 5 x 5 features, a quarter rounded up: half a kernel of 25 fits, 26 not."""
    fits = DiscriminatorConfig(kind="features", stages=2, kernel_size=51)
    assert build_discriminator(fits, 1, 17)(pictures(size=17)).shape[0] == 3
    with pytest.raises(ValueError, match="kernel_size: expected at most twice the 5 x 5 features, got 53"):
        build_discriminator(fits.model_copy(update={"kernel_size": 53}), 1, 17)


@pytest.mark.slow
@catches("semtok.train_refiner", 'state | {"lecam": self.loss.lecam}', "state")
def test_stage_two_trains_with_both_and_resumes_to_the_same_bits(trained_run):
    _, paths = trained_run
    settings = tiny(
        "discriminator.kind=features",
        "discriminator.stages=2",
        "discriminator.lecam_weight=0.5",
        "discriminator.lecam_decay=0.5",
        "refiner.discriminator_start=0",
        "train_refiner.steps=4",
        "train_refiner.checkpoint_every=1",
        "refiner.perceptual_weight=0",
    )
    shutil.rmtree(paths.refiner_checkpoints, ignore_errors=True)
    train_refiner(settings, paths, resume=False)
    _, state = load_latest_checkpoint(paths.refiner_checkpoints)
    backbone = FeatureBackbone(num_stages=2).network.state_dict()
    prefix = "network.network.network."
    kept = {name: value for name, value in state["discriminator"].items() if name.startswith(prefix)}
    assert len(kept) == len(backbone)
    assert all(torch.equal(value, backbone[name.removeprefix(prefix)]) for name, value in kept.items())
    assert state["lecam"]["real_mean"] != 0

    whole = (paths.refined / "model.safetensors").read_bytes()
    shutil.rmtree(paths.refined)
    (paths.refiner_checkpoints / "step-000000004.pt").unlink()
    train_refiner(settings, paths, resume=True)
    assert (paths.refined / "model.safetensors").read_bytes() == whole
