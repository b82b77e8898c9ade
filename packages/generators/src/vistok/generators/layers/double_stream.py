"""The double-stream block: two token streams with their own weights and one joint attention."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.generators.layers.attention import AttentionBackend, attention, check_attention_backend
from vistok.generators.layers.modulation import Modulation, modulate
from vistok.generators.layers.normalization import RMSNorm
from vistok.generators.layers.rotary import rotate


class DoubleStreamBlock(nn.Module):
    r"""MMDiT block: each stream has its own projections and feed-forward, attention sees both.

    .. math:: (a, b) \leftarrow (a, b) + g \odot \mathrm{Attn}([q_a, q_b], [k_a, k_b], [v_a, v_b]), \quad
        (a, b) \leftarrow (a, b) + g' \odot \mathrm{MLP}(a, b)

    Queries and keys pass an RMS norm. With a condition all norms are shifted, scaled and gated by it, and the gates
    start at zero; without one (``conditioned=False``) the block is a plain pre-norm block.

    Source:
        Esser et al. 2024, arXiv:2403.03206, Section 4 and Figure 2b.

    Args:
        width: Width of both streams.
        num_heads: Attention heads, dividing ``width``.
        conditioned: Whether a condition modulates the block.
        mlp_ratio: Hidden size of the feed-forward over ``width``.
        backend: Of :func:`attention`: ``"sdpa"`` or ``"xformers"``.
        affine: Whether the layer norms learn gains and offsets; by default where no condition gives them.
        gelu: The activation of the feed-forward, exact (``"none"``) or by ``"tanh"``, as ``F.gelu`` has it.

    Shape:
        - first: ``(B, N, width)``; second: ``(B, M, width)``; condition: ``(B, width)``.
        - first_rotary, second_rotary: rotary tables of ``N`` and ``M`` rows, or ``None`` for no rotation.
        - output: the two streams. With ``update_second=False`` the second is what came in: a last block need not
          compute what nothing reads.

    Range:
        The identity at the start when conditioned.

    Gradient:
        Flows to both streams and the condition. With ``update_second=False`` none to what would only change the second
        stream (``second.proj``, ``second.mlp_norm``, ``second.up``, ``second.down``): DDP then needs
        ``find_unused_parameters=True``.

    Raises:
        ValueError: ``num_heads`` does not divide ``width``; the backend cannot run; a condition is missing or not
            expected.

    Example:
        >>> import torch
        >>> block = DoubleStreamBlock(16, 2, conditioned=False)
        >>> image, codes = block(torch.zeros(1, 9, 16), torch.zeros(1, 4, 16))
        >>> image.shape, codes.shape
        (torch.Size([1, 9, 16]), torch.Size([1, 4, 16]))
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        conditioned: bool = True,
        mlp_ratio: float = 4.0,
        backend: AttentionBackend = "sdpa",
        affine: bool | None = None,
        gelu: Literal["none", "tanh"] = "none",
    ) -> None:
        super().__init__()
        if num_heads < 1 or width % num_heads:
            raise ValueError(f"num_heads must divide width, got {num_heads} and {width}")
        check_attention_backend(backend)
        self.conditioned = conditioned
        self.backend = backend
        affine = not conditioned if affine is None else affine
        self.first, self.second = (_Stream(width, num_heads, conditioned, mlp_ratio, affine, gelu) for _ in range(2))

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        condition: Tensor | None = None,
        *,
        first_rotary: Tensor | None = None,
        second_rotary: Tensor | None = None,
        update_second: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """See the class."""
        if (condition is not None) != self.conditioned:
            given = "no condition" if condition is None else "a condition"
            raise ValueError(f"the block was built with conditioned={self.conditioned}, got {given}")
        shifts_a, shifts_b = self.first.modulations(condition), self.second.modulations(condition)
        part_a, part_b = self.first.project(first, shifts_a), self.second.project(second, shifts_b)
        query, key, value = (torch.cat(pair, dim=2) for pair in zip(part_a, part_b, strict=True))
        if first_rotary is not None or second_rotary is not None:
            table = torch.cat([_turns(first_rotary, first, query), _turns(second_rotary, second, query)])
            query, key = rotate(query, table), rotate(key, table)
        out = attention(query, key, value, backend=self.backend).transpose(1, 2).flatten(2)
        out_a, out_b = out.split([first.shape[1], second.shape[1]], dim=1)
        first = self.first.finish(first, out_a, shifts_a)
        return first, self.second.finish(second, out_b, shifts_b) if update_second else second


def _turns(table: Tensor | None, stream: Tensor, query: Tensor) -> Tensor:
    """A stream's rotary table; without one, of no turn."""
    if table is not None:
        return table
    return query.new_tensor([1.0, 0.0], dtype=torch.float32).expand(stream.shape[1], query.shape[-1] // 2, 2)


class _Stream(nn.Module):
    """The weights of one stream."""

    def __init__(
        self, width: int, num_heads: int, conditioned: bool, mlp_ratio: float, affine: bool, gelu: str
    ) -> None:
        super().__init__()
        self.num_heads, self.gelu = num_heads, gelu
        self.modulation = Modulation(width, 6, zero_init=True) if conditioned else None
        self.attention_norm = nn.LayerNorm(width, elementwise_affine=affine, eps=1e-6)
        self.mlp_norm = nn.LayerNorm(width, elementwise_affine=affine, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.query_norm = RMSNorm(width // num_heads)
        self.key_norm = RMSNorm(width // num_heads)
        self.proj = nn.Linear(width, width)
        self.up = nn.Linear(width, int(width * mlp_ratio))
        self.down = nn.Linear(int(width * mlp_ratio), width)

    def modulations(self, condition: Tensor | None) -> tuple[Tensor, ...] | None:
        """Shift, scale and gate of attention, then of the feed-forward, broadcastable over tokens."""
        if self.modulation is None or condition is None:
            return None
        return tuple(part[:, None] for part in self.modulation(condition))

    def project(self, x: Tensor, shifts: tuple[Tensor, ...] | None) -> tuple[Tensor, Tensor, Tensor]:
        x = self.attention_norm(x)
        if shifts is not None:
            x = modulate(x, shifts[0], shifts[1])
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return self.query_norm(qkv[0]), self.key_norm(qkv[1]), qkv[2]

    def finish(self, x: Tensor, attended: Tensor, shifts: tuple[Tensor, ...] | None) -> Tensor:
        out = self.proj(attended)
        x = x + (out if shifts is None else shifts[2] * out)
        hidden = self.mlp_norm(x)
        if shifts is not None:
            hidden = modulate(hidden, shifts[3], shifts[4])
        out = self.down(F.gelu(self.up(hidden), approximate=self.gelu))
        result: Tensor = x + (out if shifts is None else shifts[5] * out)
        return result
