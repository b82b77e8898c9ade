"""Contrastive alignment, after FQGAN: what GloTok's relation histogram is compared with.

A head predicts a frozen backbone's feature of the image from its semantic codes; the backbone runs in every step.
"""

import torch
from torch import Tensor, nn

from glotok.config import RepresentationConfig, TeacherConfig
from glotok.model import GloTok, TrainingOutput
from vistok.losses import contrastive_loss
from vistok.metrics import FeatureBackbone
from vistok.quantizers import DualQuantizer
from vistok.tokenizers.adapter import TransformerBlock


class RepresentationHead(nn.Module):
    """Codes ``(B, d, h, w)`` to one feature an image ``(B, target_dim)``: what a class token makes of all positions.

    Of another width than the target's, the token is projected to it. Learned with the tokenizer, no part of it.
    """

    def __init__(self, settings: RepresentationConfig, code_dim: int, num_positions: int, target_dim: int) -> None:
        super().__init__()
        width = settings.width
        self.embed = nn.Sequential(nn.Linear(code_dim, width), nn.ReLU(), nn.Linear(width, width))
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + num_positions, width))
        self.norm_in = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(TransformerBlock(width, settings.num_heads) for _ in range(settings.depth)))
        self.norm_out = nn.LayerNorm(width)
        self.project = nn.Identity() if width == target_dim else nn.Linear(width, target_dim)

    def forward(self, codes: Tensor) -> Tensor:
        """Predict the feature of each image."""
        tokens = self.embed(codes.flatten(2).transpose(1, 2))
        tokens = torch.cat([self.class_token.to(tokens.dtype).expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = self.blocks(self.norm_in(tokens + self.positions))
        return self.project(self.norm_out(tokens[:, 0]))  # type: ignore[no-any-return]


class HeadedTokenizer(nn.Module):
    """A tokenizer with the head, where there is one: one pass, so that a data-parallel wrapper sees all that learns."""

    def __init__(self, tokenizer: GloTok, head: RepresentationHead | None) -> None:
        super().__init__()
        self.tokenizer, self.head = tokenizer, head

    @property
    def quantizer(self) -> DualQuantizer:
        """The tokenizer's."""
        return self.tokenizer.quantizer

    def forward(self, images: Tensor, *, detach: bool = True) -> TrainingOutput:
        """The tokenizer's pass, with the head's prediction; its gradient goes straight through to the features."""
        out: TrainingOutput = self.tokenizer(images, detach=detach)
        return out if self.head is None else out._replace(predicted=self.head(out.semantic.quantized))


class RepresentationTerm(nn.Module):
    """InfoNCE between the predictions and the backbone's features of a (micro-)batch's images."""

    def __init__(self, teacher: TeacherConfig, temperature: float) -> None:
        super().__init__()
        self.image_size, self.temperature = teacher.image_size, temperature
        self.backbone = FeatureBackbone(teacher.backbone, weights=teacher.weights)

    def forward(self, predicted: Tensor, images: Tensor) -> Tensor:
        """The mean cross entropy of picking each image's own feature."""
        with torch.no_grad():
            target = self.backbone.pooled(images, image_size=self.image_size)
        return contrastive_loss(predicted.float(), target, temperature=self.temperature)
