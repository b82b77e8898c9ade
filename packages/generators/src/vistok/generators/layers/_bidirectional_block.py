"""The bidirectional transformer block of masked generators, pre-norm or post-norm."""

import torch.nn.functional as F
from torch import Tensor, nn

from vistok.generators.layers._position_cache import PositionCache
from vistok.generators.layers.attention import AttentionBackend, attention
from vistok.generators.layers.rotary import rotate

LAYER_NORM_EPS = 1e-12  # BERT's, and so MaskBit's and TiTok's


class BidirectionalBlock(nn.Module):
    """Attention over all tokens and a GELU feed-forward of four times the width."""

    def __init__(
        self, width: int, num_heads: int, *, dropout: float, post_norm: bool, backend: AttentionBackend
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.post_norm = post_norm
        self.backend = backend
        self.attention_dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.mlp_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, table: Tensor | None, cache: PositionCache | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """With a cache ``x`` may be some ``positions`` ``(B, n)``, which also see what is stored of the others."""
        if self.post_norm:
            x = self.attention_norm(x + self._attend(x, table, cache, positions))
            return self.mlp_norm(x + self._feed_forward(x))  # type: ignore[no-any-return]
        x = x + self._attend(self.attention_norm(x), table, cache, positions)
        return x + self._feed_forward(self.mlp_norm(x))

    def _attend(self, x: Tensor, table: Tensor | None, cache: PositionCache | None, positions: Tensor | None) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if table is not None:
            query, key = rotate(query, table), rotate(key, table)
        if cache is not None:
            key, value = cache.update(key, value, positions)
        dropout = self.attention_dropout if self.training else 0.0
        out = attention(query, key, value, dropout=dropout, backend=self.backend)
        projected: Tensor = self.dropout(self.proj(out.transpose(1, 2).reshape(batch, tokens, width)))
        return projected

    def _feed_forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.down(F.gelu(self.up(x))))
        return out
