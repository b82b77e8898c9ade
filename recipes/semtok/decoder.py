"""The decoder of stage I: a velocity field over images, conditioned on the tokens and the time."""

import torch
from torch import Tensor, nn

from semtok.lengths import with_missing
from vistok.generators import DoubleStreamBlock, Modulation, TimeEmbedding, modulate, rotary_table_1d
from vistok.tokenizers import PatchPositions, patchify, unpatchify


class Decoder(nn.Module):
    r"""Velocity :math:`v_\theta(x_t, c, t)` of the straight path from image (t = 0) to noise (t = 1).

    Or the image or the noise of that path: what its output is taken for is said by ``prediction`` of the settings.

    ``x_t (B, C, H, W)``, ``codes (B, N, L)``, ``t (B,)``; codes have length 1 unless :attr:`code_scale` says otherwise.
    ``hidden (B, N)`` bool marks tokens that the network is not to see (a learned vector takes
    their place); with all of them hidden the field is unconditional. Of fewer codes than ``num_tokens`` the rest is
    hidden. Inputs are taken in the dtype of the weights.
    """

    def __init__(
        self,
        channels: int,
        grid_size: int,
        patch_size: int,
        num_tokens: int,
        bits: int,
        *,
        width: int,
        depth: int,
        num_heads: int,
    ) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.embed = nn.Linear(channels * patch_size**2, width)
        self.positions = PatchPositions(grid_size, width, num_heads)
        self.embed_codes = nn.Linear(bits, width)
        self.code_scale = bits**0.5  # what brings codes to about unit deviation: here +-1/sqrt(L) to +-1
        self.code_positions = nn.Parameter(torch.randn(1, num_tokens, width))
        self.unseen = nn.Parameter(0.02 * torch.randn(width))
        self.register_buffer("table", rotary_table_1d(num_tokens, width // num_heads), persistent=False)
        self.time = TimeEmbedding(width)
        self.span: TimeEmbedding | None = None
        self.blocks = nn.ModuleList(DoubleStreamBlock(width, num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulation = Modulation(width, 2, zero_init=True)
        self.out = nn.Linear(width, channels * patch_size**2)
        self.reset_output()
        self.table: Tensor

    def reset_output(self) -> None:
        """Make the output zero, whatever the input."""
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def learn_spans(self) -> None:
        """Take the length of a step as another input, which changes nothing at first."""
        self.span = TimeEmbedding(self.out.in_features)
        nn.init.zeros_(self.span.out.weight)
        nn.init.zeros_(self.span.out.bias)

    def forward(
        self,
        x_t: Tensor,
        codes: Tensor,
        t: Tensor,
        hidden: Tensor | None = None,
        span: Tensor | None = None,
        *,
        blocks: list[Tensor] | None = None,
    ) -> Tensor:
        """See the class; ``span (B,)`` is the length of a step, of a decoder that learns the average velocity of it.

        A list for ``blocks`` is given the patches ``(B, h, w, width)`` after each block.
        """
        x_t, codes = x_t.to(self.unseen.dtype), codes.to(self.unseen.dtype)
        grid = (x_t.shape[-2] // self.patch_size, x_t.shape[-1] // self.patch_size)
        positions, table = self.positions(grid)
        codes, hidden = with_missing(codes, hidden, self.code_positions.shape[1])
        patches = self.embed(patchify(x_t, self.patch_size)) + positions
        tokens = self.embed_codes(codes * self.code_scale)
        if hidden is not None:
            tokens = torch.where(hidden[..., None], self.unseen.to(tokens.dtype), tokens)
        tokens = tokens + self.code_positions
        condition = self.time(t) if self.span is None or span is None else self.time(t) + self.span(span)
        for index, block in enumerate(self.blocks, start=1):
            patches, tokens = block(
                patches,
                tokens,
                condition,
                first_rotary=table,
                second_rotary=self.table,
                update_second=index < len(self.blocks),  # nothing reads the last one's tokens
            )
            if blocks is not None:
                blocks.append(patches.unflatten(1, grid))
        shift, scale = (part[:, None] for part in self.modulation(condition))
        return unpatchify(self.out(modulate(self.norm(patches), shift, scale)), grid, self.patch_size)
