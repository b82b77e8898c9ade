"""FAR: next-token prediction over one or several code streams, with a factorised head."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.generators._card import FAR_CARD
from vistok.generators._checks import (
    check_choice,
    check_ids,
    check_integers,
    check_labels,
    check_not_empty,
    check_share,
)
from vistok.generators._evaluating import evaluating
from vistok.generators.layers._causal_block import CausalBlock
from vistok.generators.layers.attention import AttentionBackend, check_attention_backend
from vistok.generators.layers.label_embedding import LabelEmbedding
from vistok.generators.layers.normalization import RMSNorm
from vistok.generators.layers.rotary import behind_prefix, rotary_table_2d
from vistok.generators.pretrained import PretrainedGenerator
from vistok.generators.sampling._far_sampling import TokenChoice, sample_streams
from vistok.generators.sampling.guidance import Guidance, as_guidance


@dataclass(frozen=True)
class FAROptions:
    """What rarely changes about a :class:`FAR`.

    Args:
        stream_order: The order in which the streams of one position are predicted, as stream numbers; ``None`` is
            ``0, 1, ...``. The published order is visual, then semantic.
        label_drop_prob: Probability of the null label in training.
        dropout: Dropout of embeddings, attention output and feed-forward in training.
        prefix_rotation: Rotation of the class token (and of the head's first position): ``"identity"``, or ``"zero"``
            as in the published networks, whose table holds zeros there, so that its query and key vanish.
        head_depth: Blocks of the factorised head; at least 1 with several streams. With one stream 0 gives plain
            next-token prediction.
        attention: The kernels: ``"sdpa"``, or ``"xformers"`` (CUDA only), see :func:`check_attention_backend`.

    Raises:
        ValueError: A probability outside ``[0, 1)``, an unknown name, or a negative ``head_depth``.

    Example:
        >>> FAROptions(stream_order=(1, 0)).stream_order
        (1, 0)
    """

    stream_order: tuple[int, ...] | None = None
    label_drop_prob: float = 0.1
    dropout: float = 0.0
    prefix_rotation: Literal["identity", "zero"] = "identity"
    head_depth: int = 3
    attention: AttentionBackend = "sdpa"

    def __post_init__(self) -> None:
        check_share("label_drop_prob", self.label_drop_prob)
        check_share("dropout", self.dropout)
        check_choice("prefix_rotation", self.prefix_rotation, ("identity", "zero"))
        if self.head_depth < 0:
            raise ValueError(f"head_depth must be >= 0, got {self.head_depth}")


_FREE_CHOICE = TokenChoice()


class FAR(nn.Module, PretrainedGenerator):
    r"""Factorised autoregressive generator.

    A causal backbone turns the class and the tokens of all earlier positions into a context :math:`g_t`; a small
    causal head then predicts the streams of position ``t`` one after the other:

    .. math:: L = -\frac{1}{TK} \sum_{t=1}^{T} \sum_{k=1}^{K}
        \log p(z_t^k \mid z_{<t},\, z_t^{<k},\, y)

    Source:
        Bai et al. 2024 (FQGAN), arXiv:2411.16681, Section 3.4; one stream: Sun et al. 2024 (LlamaGen),
        arXiv:2406.06525, Section 2.2.

    Args:
        codebook_sizes: Codebook size of each stream.
        grid_size: Side of the token grid, or ``(rows, columns)``; tokens are in row-major order.
        num_classes: Number of classes; label ``num_classes`` is the null label.
        width: Width, a multiple of ``4 * num_heads``.
        depth: Blocks of the backbone.
        num_heads: Attention heads.
        options: The rest.

    Shape:
        - tokens: ``(B, T, K)`` int64, ``K`` streams; labels: ``(B,)`` int64.
        - :meth:`forward`: one ``(B, T, codebook_size)`` float32 tensor of logits a stream.
        - :meth:`loss`: ``()`` float32; :meth:`sample`: ``(B, T, K)`` int64.

    Range:
        The loss is ``>= 0`` and starts at the mean of ``log codebook_size`` (classifiers start at zero).
        Logits of position ``t`` do not depend on tokens of later positions, nor on later streams of ``t``.

    Gradient:
        Flows to every parameter except those of unused labels and tokens.

    Raises:
        ValueError: Sizes that do not fit each other or the input; labels or ids out of range (for CUDA see
            :class:`LabelEmbedding`); a loss of no samples; kernels of attention that cannot run.
        TypeError: Tokens or labels that are not dense tensors of integers.

    Example:
        >>> import torch
        >>> model = FAR((16, 32), 4, 10, width=32, depth=2, num_heads=2)
        >>> rng = torch.Generator().manual_seed(0)
        >>> tokens = model.sample(torch.tensor([1, 2]), guidance=2.0, generator=rng)
        >>> tokens.shape
        torch.Size([2, 16, 2])
        >>> round(model.loss(tokens, torch.tensor([1, 2]), generator=rng).item(), 3)
        3.119
    """

    card, parts = FAR_CARD, (FAROptions,)

    def __init__(
        self,
        codebook_sizes: Sequence[int],
        grid_size: int | tuple[int, int],
        num_classes: int,
        *,
        width: int,
        depth: int,
        num_heads: int,
        options: FAROptions = FAROptions(),
    ) -> None:
        super().__init__()
        check_attention_backend(options.attention, name="attention")
        streams = len(codebook_sizes)
        order = options.stream_order or tuple(range(streams))
        _check_streams(codebook_sizes, order, options)
        if depth < 1 or num_heads < 1 or width < 1 or width % (4 * num_heads):
            raise ValueError(
                f"need depth >= 1 and width a multiple of 4 * num_heads, got {depth}, {width}, {num_heads}"
            )
        self.grid_size = (grid_size, grid_size) if isinstance(grid_size, int) else grid_size
        if min(self.grid_size) < 1:
            raise ValueError(f"grid_size must be >= 1, got {self.grid_size}")
        self.length = self.grid_size[0] * self.grid_size[1]
        self.codebook_sizes = tuple(codebook_sizes)
        self.order = order
        self.inverse_order = tuple(sorted(range(streams), key=order.__getitem__))
        self.num_heads = num_heads
        self.options = options

        sizes = [self.codebook_sizes[stream] for stream in order]
        hidden = -(-(width * 8 // 3) // 256) * 256
        self.labels = LabelEmbedding(num_classes, width, drop_prob=options.label_drop_prob)
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size in sizes)
        self.merge = nn.Linear(streams * width, width) if streams > 1 else nn.Identity()
        self.dropout = nn.Dropout(options.dropout)
        block = partial(CausalBlock, width, num_heads, hidden, dropout=options.dropout, backend=options.attention)
        self.blocks = nn.ModuleList(block() for _ in range(depth))
        self.head_blocks = nn.ModuleList(block() for _ in range(options.head_depth))
        self.norm = RMSNorm(width, eps=1e-5)
        self.classifiers = nn.ModuleList(nn.Linear(width, size, bias=False) for size in sizes)
        table = self._rotary_table(width // num_heads)
        self.register_buffer("rotary", table[: self.length], persistent=False)
        self.register_buffer("head_rotary", table[:streams], persistent=False)
        self.rotary: Tensor
        self.head_rotary: Tensor
        self._initialise()

    def _rotary_table(self, head_dim: int) -> Tensor:
        """The class token's row, then those of the grid; as many further rows of it as the head has streams."""
        rows, columns = self.grid_size
        rows = max(rows, -(-(len(self.codebook_sizes) - 1) // columns))
        return behind_prefix(rotary_table_2d((rows, columns), head_dim), self.options.prefix_rotation)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
        if isinstance(self.merge, nn.Linear):
            nn.init.zeros_(self.merge.bias)
        for classifier in self.classifiers:
            nn.init.zeros_(classifier.get_parameter("weight"))

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes a network of the same shape; :meth:`save_pretrained` writes it."""
        shape = {"codebook_sizes": self.codebook_sizes, "grid_size": self.grid_size, "num_classes": self.null_label}
        sizes = {"width": self.labels.table.embedding_dim, "depth": len(self.blocks), "num_heads": self.num_heads}
        return {**shape, **sizes, "options": self.options}

    @property
    def null_label(self) -> int:
        """The label of the unconditional model."""
        return self.labels.null_label

    def embed(self, tokens: Tensor) -> Tensor:
        """One vector a position from its streams in prediction order: ``(B, n, K)`` to ``(B, n, width)``."""
        parts = [table(tokens[..., k]) for k, table in enumerate(self.embeddings)]
        merged: Tensor = self.merge(torch.cat(parts, dim=-1))
        return merged

    def forward(
        self, tokens: Tensor, labels: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, ...]:
        """Logits of every position and stream given what comes before them, in the streams' own order."""
        self._check(tokens, labels)
        tokens = tokens[..., list(self.order)]
        prefix = self.labels(labels, generator=generator)[:, None]
        x = self.dropout(torch.cat([prefix, self.embed(tokens[:, :-1])], dim=1))
        for block in self.blocks:
            x = block(x, self.rotary)
        logits = self._head(x, tokens)
        return tuple(logits[k] for k in self.inverse_order)

    def _head(self, context: Tensor, tokens: Tensor) -> list[Tensor]:
        known = [table(tokens[..., k]) for k, table in enumerate(self.embeddings[:-1])]
        x = torch.stack([context, *known], dim=2).flatten(0, 1)
        for block in self.head_blocks:
            x = block(x, self.head_rotary)
        x = self.norm(x).unflatten(0, context.shape[:2])
        return [classifier(x[:, :, k]).float() for k, classifier in enumerate(self.classifiers)]

    def loss(self, tokens: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Mean cross-entropy over positions and streams, in nats; dropped labels come from ``generator``."""
        logits = self.forward(tokens, labels, generator=generator)
        check_not_empty(labels)
        terms = [
            F.cross_entropy(stream.flatten(0, 1), tokens[..., k].flatten().long()) for k, stream in enumerate(logits)
        ]
        return torch.stack(terms).mean()

    @torch.no_grad()
    def sample(
        self,
        labels: Tensor,
        *,
        guidance: float | Guidance = 1.0,
        choice: TokenChoice = _FREE_CHOICE,
        num_tokens: int | None = None,
        generator: torch.Generator | None = None,
        use_cache: bool = True,
    ) -> Tensor:
        """Tokens of the given classes. A bare ``guidance`` number is constant over positions and streams.

        With ``num_tokens`` it stops after so many positions, ``(B, num_tokens, K)``: the first of those that it would
        draw in all. A schedule takes ``position / (T - 1)`` as progress, also then. Without the cache every step runs
        all positions so far again: slower, and the same tokens up to rounding (in bfloat16 on a CPU many differ, since
        there the cache is attended in float32).
        """
        check_labels(labels, self.null_label)
        with evaluating(self):
            scales = as_guidance(guidance, "constant")
            tokens = sample_streams(self, labels, scales, choice, generator, use_cache, num_tokens)
        return tokens[..., list(self.inverse_order)]

    def _check(self, tokens: Tensor, labels: Tensor) -> None:
        check_integers("tokens", tokens)
        expected = (self.length, len(self.codebook_sizes))
        if tokens.ndim != 3 or tuple(tokens.shape[1:]) != expected:
            raise ValueError(f"tokens must have shape (B, {expected[0]}, {expected[1]}), got {tuple(tokens.shape)}")
        check_ids(tokens, self.codebook_sizes)
        check_labels(labels, self.null_label, len(tokens))


def _check_streams(codebook_sizes: Sequence[int], order: tuple[int, ...], options: FAROptions) -> None:
    streams = len(codebook_sizes)
    if streams < 1 or min(codebook_sizes) < 1:
        raise ValueError(f"codebook_sizes must hold sizes >= 1, got {tuple(codebook_sizes)}")
    if sorted(order) != list(range(streams)):
        raise ValueError(f"stream_order must list each of the {streams} streams once, got {order}")
    if streams > 1 and options.head_depth < 1:
        raise ValueError(f"several streams need head_depth >= 1, got {options.head_depth}")
