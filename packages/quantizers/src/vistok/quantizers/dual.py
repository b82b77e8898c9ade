"""Two codebooks for two branches of features."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vistok.quantizers.nearest import Metric
from vistok.quantizers.quantized import Quantized
from vistok.quantizers.vector import Learning, VectorQuantizer


class DualQuantized(NamedTuple):
    """One :class:`Quantized` a branch.

    Attributes:
        semantic: Of the semantic branch.
        visual: Of the visual branch.
    """

    semantic: Quantized
    visual: Quantized


class DualQuantizer(nn.Module):
    r"""Quantize a semantic and a visual branch, each with its own codebook.

    .. math::
        (z_{sem}, z_{vis}) \mapsto (Q_{sem}(z_{sem}),\; Q_{vis}(z_{vis}))

    The branches are two :class:`VectorQuantizer`, reachable as ``semantic`` and ``visual``; their contract holds.

    Source:
        GloTok, Sec. 3.2 (sizes 4096 + 12288 and 16384 + 16384, 8 channels each).

    Args:
        semantic_size: Codes of the semantic codebook.
        visual_size: Codes of the visual codebook.
        code_dim: Channels of a code, in both branches.
        metric: As for :class:`VectorQuantizer`.
        learning: As for :class:`VectorQuantizer`.
        channel_dim: As for :class:`VectorQuantizer`.
        decay: As for :class:`VectorQuantizer`.
        generator: Draws the semantic codebook, then the visual one.

    Shape:
        - z_semantic, z_visual: as for :class:`VectorQuantizer`; the two may differ in their spatial shape.

    Range:
        As for :class:`VectorQuantizer`, each branch.

    Gradient:
        As for :class:`VectorQuantizer`; no gradient crosses between the branches.

    Raises:
        TypeError: as for :class:`VectorQuantizer`.
        ValueError: as for :class:`VectorQuantizer`.

    Distributed:
        As for :class:`VectorQuantizer`.

    Example:
        >>> import torch
        >>> quantizer = DualQuantizer(32, 64, 8, generator=torch.Generator().manual_seed(0))
        >>> semantic, visual = quantizer(torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4))
        >>> torch.cat([semantic.quantized, visual.quantized], dim=1).shape
        torch.Size([2, 16, 4, 4])
    """

    def __init__(
        self,
        semantic_size: int,
        visual_size: int,
        code_dim: int,
        *,
        metric: Metric = "cosine",
        learning: Learning = "gradient",
        channel_dim: int = 1,
        decay: float = 0.99,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.semantic, self.visual = (
            VectorQuantizer(
                size,
                code_dim,
                metric=metric,
                learning=learning,
                channel_dim=channel_dim,
                decay=decay,
                generator=generator,
            )
            for size in (semantic_size, visual_size)
        )

    def forward(self, z_semantic: Tensor, z_visual: Tensor) -> DualQuantized:
        """Quantize each branch with its codebook."""
        return DualQuantized(self.semantic(z_semantic), self.visual(z_visual))

    def indices_to_codes(self, semantic: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of both branches for their indices."""
        return self.semantic.indices_to_codes(semantic), self.visual.indices_to_codes(visual)

    def update(self) -> None:
        """Close a step of both codebooks."""
        self.semantic.update()
        self.visual.update()

    def freeze(self) -> None:
        """Stop all learning of both codebooks."""
        self.semantic.freeze()
        self.visual.freeze()

    def unfreeze(self) -> None:
        """Undo :meth:`freeze`."""
        self.semantic.unfreeze()
        self.visual.unfreeze()
