"""A network that a loss looks through: it never learns and never leaves eval mode."""

from collections.abc import Sequence

from torch import Tensor, nn


class FrozenNetwork(nn.Module):
    """Freeze the parameters of ``network`` and keep it in eval mode.

    Also when a parent calls ``train()`` or ``requires_grad_(True)``, as a GAN's loop does to its discriminator.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "FrozenNetwork":
        """Stay in eval mode whatever ``mode`` says."""
        return super().train(False)

    def forward(self, images: Tensor) -> Sequence[Tensor]:
        """Return the feature maps of ``images``, which are seen in the network's dtype."""
        for parameter in self.network.parameters():
            if parameter.requires_grad:
                parameter.requires_grad_(False)
        weight = next(self.network.parameters(), images)
        features: Sequence[Tensor] = self.network(images.to(weight.dtype))
        return features
