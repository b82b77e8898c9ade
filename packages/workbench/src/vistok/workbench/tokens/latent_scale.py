"""The scale that generators of continuous latents learn them at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torch import Tensor

from vistok.workbench.run.tensor_files import load_tensors


@dataclass(frozen=True)
class LatentScale:
    """Zero mean and unit deviation a channel: flow matching assumes that scale.

    Attributes:
        mean, std: ``(d, 1, 1)`` of the latents' channels.

    Example:
        >>> import torch
        >>> scale = LatentScale(torch.tensor([[[3.0]]]), torch.tensor([[[2.0]]]))
        >>> scale.scale(torch.tensor([[[[7.0]]]])).item(), scale.unscale(torch.tensor([[[[2.0]]]])).item()
        (2.0, 7.0)
    """

    mean: Tensor
    std: Tensor

    @classmethod
    def load(cls, path: Path) -> Self:
        """The scale in a file of tensors that holds ``mean`` and ``std`` among others."""
        stored = load_tensors(path, "mean", "std")
        return cls(stored["mean"], stored["std"])

    def scale(self, latents: Tensor) -> Tensor:
        """Latents ``(B, d, h, w)`` at the scale that generators see."""
        return (latents - self.mean) / self.std

    def unscale(self, latents: Tensor) -> Tensor:
        """Inverse of :meth:`scale`."""
        return latents * self.std + self.mean
