"""The discriminator of stage II, PatchGAN or heads over a frozen backbone, and its loss, with LeCam where asked for."""

from torch import Tensor, nn

from semtok.config import DiscriminatorConfig
from vistok.losses import FeatureDiscriminator, LeCamLoss, PatchGANDiscriminator, discriminator_loss
from vistok.losses.adversarial import AdversarialKind
from vistok.metrics import FeatureBackbone


def build_discriminator(settings: DiscriminatorConfig, image_channels: int, image_size: int) -> nn.Module:
    """A network from images ``(B, image_channels, H, W)`` to logits.

    Raises:
        ValueError: The backbone has fewer stages, or the last one's features are too few for a head.
    """
    if settings.kind == "patchgan":
        return PatchGANDiscriminator(image_channels, settings.base_width, settings.num_layers, norm=settings.norm)
    backbone = FeatureBackbone(settings.backbone, weights=settings.weights, num_stages=settings.stages)
    widths, stages = backbone.stage_channels, settings.stages
    if stages > len(widths):
        raise ValueError(f"stages: expected 1 to {len(widths)} for {settings.backbone}, got {stages}")
    side = -(-image_size // int(backbone.network.feature_info[stages - 1]["reduction"]))
    if side**2 < settings.kernel_size // 2:
        raise ValueError(
            f"kernel_size: expected at most twice the {side} x {side} features, got {settings.kernel_size}"
        )
    return FeatureDiscriminator(backbone, widths[:stages], kernel_size=settings.kernel_size)


class RegularisedDiscriminatorLoss(nn.Module):
    """From real and fake logits to the discriminator's loss; LeCam's running means are part of a training's state."""

    def __init__(self, kind: AdversarialKind, settings: DiscriminatorConfig) -> None:
        super().__init__()
        self.kind: AdversarialKind = kind
        self.weight = settings.lecam_weight
        self.lecam = LeCamLoss(decay=settings.lecam_decay, form=settings.lecam_form) if self.weight else None

    def forward(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """The adversarial loss, and the weighted distance of each side from the mean of the other."""
        loss = discriminator_loss(real_logits, fake_logits, kind=self.kind)
        return loss if self.lecam is None else loss + self.weight * self.lecam(real_logits, fake_logits)
