"""The causal transformer block of LlamaGen and FAR."""

from torch import Tensor, nn

from vistok.generators.layers.attention import AttentionBackend, attention
from vistok.generators.layers.feed_forward import SwiGLU
from vistok.generators.layers.kv_cache import KVCache
from vistok.generators.layers.normalization import RMSNorm
from vistok.generators.layers.rotary import rotate


class CausalBlock(nn.Module):
    """Pre-norm attention and SwiGLU without biases; with a cache the new tokens also see what is stored before them."""

    def __init__(
        self, width: int, num_heads: int, hidden_dim: int, *, dropout: float, backend: AttentionBackend
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.backend = backend
        self.attention_norm = RMSNorm(width, eps=1e-5)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.mlp_norm = RMSNorm(width, eps=1e-5)
        self.mlp = SwiGLU(width, hidden_dim, dropout=dropout)

    def forward(self, x: Tensor, table: Tensor, cache: KVCache | None = None, start: int = 0) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.num_heads, -1))
        qkv = qkv.permute(2, 0, 3, 1, 4)
        value = qkv[2]
        query, key = rotate(qkv[:2], table)
        if cache is not None:
            key, value = cache.update(key, value, start=start)
        out = attention(query, key, value, causal=tokens > 1, backend=self.backend)
        x = x + self.dropout(self.proj(out.transpose(1, 2).reshape(batch, tokens, width)))
        x = x + self.mlp(self.mlp_norm(x))
        return x
