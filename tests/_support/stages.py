"""A small network of two feature maps, for losses that look through one."""

import torch
from torch import Tensor, nn


class Stages(nn.Module):
    """A small network with parameters and batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(6, 4, 3, 2, 1), nn.ReLU())
        generator = torch.Generator().manual_seed(3)
        for parameter in self.parameters():
            parameter.data.normal_(0, 0.5, generator=generator)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.first(images)
        return [x, self.second(x)]
