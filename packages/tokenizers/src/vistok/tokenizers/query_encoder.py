"""A transformer from an image to a sequence of features: learned queries beside the patches."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vistok.generators.layers.double_stream import DoubleStreamBlock
from vistok.generators.layers.rotary import rotary_table_1d
from vistok.tokenizers._checks import check_images, check_sizes
from vistok.tokenizers._dtypes import like_weights
from vistok.tokenizers.patches import PatchPositions, patchify


class QueryEncoded(NamedTuple):
    """Both streams at their end.

    Attributes:
        patches: ``(B, h, w, width)``, what became of the image's patches.
        features: ``(B, N, code_dim)``, what the queries gathered; not quantized yet.
    """

    patches: Tensor
    features: Tensor


class QueryEncoder(nn.Module):
    """Encode an image as a sequence: as many features as there are learned queries, whatever the number of patches.

    Patches and queries are two streams with weights of their own and one joint attention
    (:class:`vistok.generators.DoubleStreamBlock`).

    Source:
        Queries in place of a grid: TiTok, arXiv:2406.07550 (latent tokens). Patches and queries as two streams: FlowMo,
        arXiv:2503.11056, and SemTok, arXiv:2603.16373. The block: Esser et al. 2024, arXiv:2403.03206, Figure 2b.

    Args:
        image_channels: Of the images, or of the latents that stand for them.
        grid_size: Side of the square of patches that positions are learned for; they are interpolated to any other.
        patch_size: Side of a patch.
        num_tokens: Learned queries ``N``.
        code_dim: Channels of a feature, for a quantizer with ``channel_dim=-1``.
        width: Width of both streams.
        depth: Double-stream blocks.
        num_heads: Attention heads, dividing ``width``; the channels of one must be a multiple of 4.

    Shape:
        - images: ``(B, image_channels, H, W)``, sides divisible by ``patch_size``; floats, brought to the dtype of the
          weights.
        - output: :class:`QueryEncoded`; ``h`` and ``w`` are the patches along the sides.

    Range:
        Real.

    Gradient:
        To the images and, through both outputs together, to every parameter.

    Raises:
        ValueError: A size is below 1; ``num_heads`` does not divide ``width``, or the channels of a head are no
            multiple of 4 (at construction); images of other channels, or whose sides do not divide (at call).
        TypeError: Images are not floats (at call).

    Example:
        >>> import torch
        >>> encoder = QueryEncoder(3, 4, 8, num_tokens=5, code_dim=12, width=16, depth=1, num_heads=2)
        >>> encoded = encoder(torch.zeros(2, 3, 32, 48))
        >>> encoded.features.shape, encoded.patches.shape
        (torch.Size([2, 5, 12]), torch.Size([2, 4, 6, 16]))
    """

    def __init__(
        self,
        image_channels: int,
        grid_size: int,
        patch_size: int,
        num_tokens: int,
        code_dim: int,
        *,
        width: int,
        depth: int,
        num_heads: int,
    ) -> None:
        super().__init__()
        sizes = {"image_channels": image_channels, "patch_size": patch_size, "num_tokens": num_tokens}
        check_sizes("QueryEncoder", {**sizes, "code_dim": code_dim, "depth": depth})
        self.image_channels, self.patch_size = image_channels, patch_size
        self.embed = nn.Linear(image_channels * patch_size**2, width)
        self.positions = PatchPositions(grid_size, width, num_heads)
        # Small, so that what queries gather from the image is not drowned by what they are: codes stay alive.
        self.queries = nn.Parameter(0.02 * torch.randn(1, num_tokens, width))
        self.register_buffer("table", rotary_table_1d(num_tokens, width // num_heads), persistent=False)
        self.blocks = nn.ModuleList(DoubleStreamBlock(width, num_heads, conditioned=False) for _ in range(depth))
        self.patch_norm = nn.LayerNorm(width)
        self.query_norm = nn.LayerNorm(width)
        self.to_bits = nn.Linear(width, code_dim)  # the name in saved weights
        self.table: Tensor

    def forward(self, images: Tensor) -> QueryEncoded:
        """Encode images."""
        check_images(images, self.patch_size, self.image_channels)
        grid = (images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size)
        rows = patchify(like_weights(images, self.embed.weight), self.patch_size)
        positions, table = self.positions(grid)
        patches = self.embed(rows) + positions
        queries = self.queries.expand(images.shape[0], -1, -1)
        for block in self.blocks:
            patches, queries = block(patches, queries, first_rotary=table, second_rotary=self.table)
        return QueryEncoded(self.patch_norm(patches).unflatten(1, grid), self.to_bits(self.query_norm(queries)))
