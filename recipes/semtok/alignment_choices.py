"""What else features of the backbone can be given to: the query stream patch by patch, and a block of the decoder."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from semtok.alignment import Targets, alignment_loss, on_grid
from semtok.config import AlignmentConfig
from semtok.tokenizer_config import TokenizerConfig
from vistok.losses import patch_alignment_loss

_WAVES = 4  # of a place along each side


class Predicted(NamedTuple):
    """What the heads say of the backbone's features; the last two where the configuration asks for them."""

    patches: Tensor  # from the encoder's image stream
    pooled: Tensor  # from its query stream
    query_patches: Tensor | None  # the patches from its query stream
    decoder: Tensor | None  # the patches from a block of the decoder


class ChosenHeads(nn.Module):
    """The heads that :class:`semtok.alignment.AlignmentHeads` has not.

    From the query stream to patches: two layers see all tokens in order and where a patch lies. From the decoder: three
    layers patch by patch (REPA, arXiv:2410.06940, Section 3.2).
    """

    def __init__(self, sizes: TokenizerConfig, settings: AlignmentConfig, target_dim: int) -> None:
        super().__init__()
        width, queries = settings.hidden_width, settings.query_target != "pooled"
        self.tokens = nn.Linear(sizes.num_tokens * sizes.code_dim, width) if queries else None
        self.places = nn.Linear(4 * _WAVES, width) if queries else None
        self.query_out = nn.Linear(width, target_dim) if queries else None
        self.decoder = (
            nn.Sequential(
                nn.Linear(sizes.decoder_width, width),
                nn.SiLU(),
                nn.Linear(width, width),
                nn.SiLU(),
                nn.Linear(width, target_dim),
            )
            if settings.decoder_block
            else None
        )

    def forward(self, queries: Tensor, hidden: Tensor | None, predicted: Targets) -> Predicted:
        """Predictions of ``queries (B, N, L)`` and ``hidden (B, h, w, width)`` beside those of the other heads."""
        grid = (predicted.patches.shape[1], predicted.patches.shape[2])
        query_patches = decoder = None
        if self.tokens is not None and self.places is not None and self.query_out is not None:
            seen = self.tokens(queries.flatten(1))[:, None, None] + self.places(waves(grid).to(queries.device))
            query_patches = self.query_out(nn.functional.silu(seen))
        if self.decoder is not None and hidden is not None:
            decoder = self.decoder(on_grid(hidden, grid))
        return Predicted(predicted.patches, predicted.pooled, query_patches, decoder)


def waves(grid: tuple[int, int]) -> Tensor:
    """Sines and cosines of the centres of patches along both sides, ``(h, w, 4 * 4)``.

    Example:
        >>> waves((2, 3)).shape
        torch.Size([2, 3, 16])
    """
    sides = []
    for count in grid:
        angles = (torch.arange(count) + 0.5)[:, None] / count * math.pi * torch.arange(1, _WAVES + 1)
        sides.append(torch.cat([angles.sin(), angles.cos()], dim=-1))
    rows, columns = sides
    return torch.cat([rows[:, None].expand(-1, grid[1], -1), columns.expand(grid[0], -1, -1)], dim=-1)


def alignment_terms(predicted: Predicted, targets: Targets, settings: AlignmentConfig) -> dict[str, Tensor]:
    """Stage I's terms of alignment by name, unweighted: of the encoder's streams, and of the decoder's block."""
    standard = Targets(predicted.patches, predicted.pooled)
    if predicted.query_patches is None:
        terms = {"alignment": alignment_loss(standard, targets, settings.streams)}
    else:
        parts = [patch_alignment_loss(predicted.query_patches, targets.patches, channel_dim=-1)]
        if settings.query_target == "both":
            parts.append(alignment_loss(standard, targets, settings.streams))
        elif settings.streams == "both":
            parts.append(alignment_loss(standard, targets, "patches"))
        terms = {"alignment": torch.stack(parts).sum()}
    if predicted.decoder is not None:
        terms["decoder_alignment"] = patch_alignment_loss(predicted.decoder, targets.patches, channel_dim=-1)
    return terms
