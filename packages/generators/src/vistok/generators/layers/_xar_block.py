"""The transformer block of xAR: attention and gated feed-forward, modulated per cell."""

import torch
from torch import Tensor, nn

from vistok.generators.layers._cell_attention import cell_attention
from vistok.generators.layers.attention import AttentionBackend
from vistok.generators.layers.feed_forward import Gate, SwiGLU
from vistok.generators.layers.kv_cache import KVCache
from vistok.generators.layers.modulation import Modulation, modulate
from vistok.generators.layers.normalization import RMSNorm
from vistok.generators.layers.rotary import rotate


class CellBlock(nn.Module):
    """Tokens come as (B, cells, tokens of a cell, width), the condition as (B, cells, width)."""

    def __init__(self, width: int, num_heads: int, *, gate: Gate, dropout: float, backend: AttentionBackend) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.backend = backend
        self.norm = RMSNorm(width, affine=False)
        self.modulation = Modulation(width, 6)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.proj_dropout = nn.Dropout(dropout)
        self.mlp = SwiGLU(width, width * 8 // 3, gate=gate, bias=True, dropout=dropout)

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        table: Tensor,
        cache: KVCache | None = None,
        start: int = 0,
    ) -> Tensor:
        gate_a, gate_m, scale_a, scale_m, shift_a, shift_m = (c.unsqueeze(2) for c in self.modulation(condition))
        attended = self._attend(modulate(self.norm(x), shift_a, scale_a), table, cache, start)
        x = torch.addcmul(x, attended, gate_a)
        return torch.addcmul(x, self.mlp(modulate(self.norm(x), shift_m, scale_m)), gate_m)

    def _attend(self, x: Tensor, table: Tensor, cache: KVCache | None, start: int) -> Tensor:
        batch, cells, tokens, width = x.shape
        qkv = self.qkv(x).flatten(1, 2).unflatten(-1, (3, self.num_heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = rotate(query, table), rotate(key, table)
        if cache is not None:
            key, value = cache.update(key, value, start=start)
        dropout = self.dropout if self.training else 0.0
        out = cell_attention(query, key, value, cell_tokens=tokens, dropout=dropout, backend=self.backend)
        merged = out.transpose(1, 2).reshape(batch, cells, tokens, width)
        projected: Tensor = self.proj_dropout(self.proj(merged))
        return projected
