"""xAR: flow matching, cell after cell, with noisy context."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from vistok.generators._card import XAR_CARD
from vistok.generators._checks import (
    check_choice,
    check_dense,
    check_floating,
    check_labels,
    check_not_empty,
    check_share,
)
from vistok.generators._evaluating import evaluating
from vistok.generators._random import normal
from vistok.generators.flow.flow_matching import flow_path, logit_normal_times
from vistok.generators.layers._xar_block import CellBlock
from vistok.generators.layers.attention import AttentionBackend, check_attention_backend
from vistok.generators.layers.cells import CellOrder, cell_permutation
from vistok.generators.layers.feed_forward import Gate
from vistok.generators.layers.kv_cache import KVCache
from vistok.generators.layers.label_embedding import LabelEmbedding
from vistok.generators.layers.normalization import RMSNorm
from vistok.generators.layers.rotary import rotary_table_2d
from vistok.generators.layers.time_embedding import TimeEmbedding
from vistok.generators.pretrained import PretrainedGenerator
from vistok.generators.sampling._xar_sampling import sample_cells
from vistok.generators.sampling.guidance import Guidance, as_guidance


@dataclass(frozen=True)
class XAROptions:
    """What rarely changes about an :class:`XAR`.

    Args:
        label_drop_prob: Probability of the null label in training.
        dropout: Dropout of attention weights, projections and feed-forward in training.
        order: How cells are cut: ``"block"`` or ``"interleaved"``.
        gate: Activation of the gated feed-forward. The published networks use ``"gelu"``.
        integer_time: Truncate ``1000 t`` before embedding, as the published networks do.
        attention: The kernels: ``"sdpa"``, or ``"xformers"`` (CUDA only), see :func:`check_attention_backend`.

    Raises:
        ValueError: A probability outside ``[0, 1)``, or an unknown name.

    Example:
        >>> XAROptions(dropout=0.1).order
        'block'
    """

    label_drop_prob: float = 0.1
    dropout: float = 0.0
    order: CellOrder = "block"
    gate: Gate = "silu"
    integer_time: bool = False
    attention: AttentionBackend = "sdpa"

    def __post_init__(self) -> None:
        check_share("label_drop_prob", self.label_drop_prob)
        check_share("dropout", self.dropout)
        check_choice("order", self.order, get_args(CellOrder))
        check_choice("gate", self.gate, get_args(Gate))


class XAR(nn.Module, PretrainedGenerator):
    r"""Next-cell generator on continuous latents.

    Every cell ``n`` has its own time and noise; the network sees all cells up to ``n`` at *their* noise levels:

    .. math:: L = \mathbb{E}\,\lVert \hat v_n(x_1^{t_1}, \dots, x_n^{t_n};\, t_n, y) - (\epsilon_n - x_n)\rVert^2,
        \qquad x_n^{t} = (1 - t)\,x_n + t\,\epsilon_n

    Source:
        Ren et al. 2025 (xAR), arXiv:2502.20388, Section 3 and the published network and sampler.

    Args:
        in_channels: Channels of the latents. Scale the latents to unit variance first.
        grid_size: Side of the latent grid, or ``(rows, columns)``.
        cell_size: Side of a cell, or ``(rows, columns)``; divides the grid. 1 is token by token, ``grid_size`` the
            whole image at once.
        num_classes: Number of classes; label ``num_classes`` is the null label.
        width: Width of the transformer, a multiple of ``4 * num_heads``.
        depth: Number of blocks, even: two stacks of half of them.
        num_heads: Attention heads.
        options: The rest.

    Shape:
        - latents, x_t: ``(B, in_channels, rows, columns)``; t: ``(B, cells)``; labels: ``(B,)`` int64.
        - :meth:`forward`: like ``x_t``, in its dtype whatever that of the weights (under autocast in what that gives).
        - :meth:`sample`: like ``x_t``, float32; :meth:`loss`: ``()`` float32.

    Range:
        The loss is ``>= 0``. The output for a cell does not depend on later cells.

    Gradient:
        Flows to every parameter except those of unused labels.

    Raises:
        ValueError: Sizes that do not fit each other or the input; labels out of range (for CUDA see
            :class:`LabelEmbedding`); a loss of no samples; kernels of attention that cannot run.
        TypeError: Latents that are not dense floating point, labels that are not a dense tensor of integers.

    Example:
        >>> import torch
        >>> model = XAR(4, 8, 4, 10, width=32, depth=2, num_heads=2)
        >>> rng = torch.Generator().manual_seed(0)
        >>> model.loss(torch.zeros(2, 4, 8, 8), torch.tensor([1, 2]), generator=rng).shape
        torch.Size([])
        >>> model.sample(torch.tensor([1, 2]), num_steps=2, guidance=1.5, generator=rng).shape
        torch.Size([2, 4, 8, 8])
    """

    card, parts = XAR_CARD, (XAROptions,)

    def __init__(
        self,
        in_channels: int,
        grid_size: int | tuple[int, int],
        cell_size: int | tuple[int, int],
        num_classes: int,
        *,
        width: int,
        depth: int,
        num_heads: int,
        options: XAROptions = XAROptions(),
    ) -> None:
        super().__init__()
        check_attention_backend(options.attention, name="attention")
        _check_sizes(in_channels, width, depth, num_heads)
        self.grid_size = (grid_size, grid_size) if isinstance(grid_size, int) else grid_size
        cell = (cell_size, cell_size) if isinstance(cell_size, int) else cell_size
        order = cell_permutation(self.grid_size, cell, order=options.order)
        self.in_channels = in_channels
        self.cell_size = cell
        self.cell_tokens = cell[0] * cell[1]
        self.num_cells = len(order) // self.cell_tokens
        self.num_heads = num_heads
        self.options = options

        self.labels = LabelEmbedding(num_classes, width, drop_prob=options.label_drop_prob)
        self.time = TimeEmbedding(width, integer_time=options.integer_time)
        self.stem = nn.Linear(in_channels, width)
        self.stem_norm = RMSNorm(width)
        self.middle = nn.Linear(width, width)
        self.first_positions = nn.Parameter(torch.empty(len(order), width))
        self.second_positions = nn.Parameter(torch.empty(len(order), width))
        self.first_norm = RMSNorm(width)
        self.second_norm = RMSNorm(width)
        blocks = [
            CellBlock(width, num_heads, gate=options.gate, dropout=options.dropout, backend=options.attention)
            for _ in range(depth)
        ]
        self.first_blocks = nn.ModuleList(blocks[: depth // 2])
        self.second_blocks = nn.ModuleList(blocks[depth // 2 :])
        self.head = nn.Linear(width, in_channels)

        self.register_buffer("order", order, persistent=False)
        self.register_buffer("inverse_order", order.argsort(), persistent=False)
        table = rotary_table_2d(self.grid_size, width // num_heads)[order]
        self.register_buffer("rotary", table, persistent=False)
        self.order: Tensor
        self.inverse_order: Tensor
        self.rotary: Tensor
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for table in (self.first_positions, self.second_positions, self.labels.table.weight):
            nn.init.normal_(table, std=0.02)

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes a network of the same shape; :meth:`save_pretrained` writes it."""
        shape = {"in_channels": self.in_channels, "grid_size": self.grid_size, "cell_size": self.cell_size}
        sizes = {"width": self.stem.out_features, "depth": self.num_blocks, "num_heads": self.num_heads}
        return {**shape, "num_classes": self.null_label, **sizes, "options": self.options}

    @property
    def null_label(self) -> int:
        """The label of the unconditional model."""
        return self.labels.null_label

    def to_cells(self, latents: Tensor) -> Tensor:
        """Latents ``(B, C, rows, columns)`` to ``(B, cells, tokens of a cell, C)``."""
        check_floating("latents", latents)
        expected = (self.in_channels, *self.grid_size)
        if latents.ndim != 4 or tuple(latents.shape[1:]) != expected:
            raise ValueError(
                f"latents must have shape (B, {', '.join(map(str, expected))}), got {tuple(latents.shape)}"
            )
        tokens = latents.flatten(2).transpose(1, 2)[:, self.order]
        return tokens.reshape(len(latents), self.num_cells, self.cell_tokens, self.in_channels)

    def from_cells(self, cells: Tensor) -> Tensor:
        """Inverse of :meth:`to_cells`."""
        tokens = cells.flatten(1, 2)[:, self.inverse_order]
        return tokens.transpose(1, 2).reshape(len(cells), self.in_channels, *self.grid_size)

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Velocity of every cell, given all cells up to it; ``generator`` draws the dropped labels in training."""
        cells = self.to_cells(x_t)
        check_labels(labels, self.null_label, len(x_t))
        check_dense("t", t)
        if t.shape != (len(x_t), self.num_cells):
            raise ValueError(f"t must have shape (B, {self.num_cells}), one time a cell, got {tuple(t.shape)}")
        condition = self.labels(labels, generator=generator)[:, None] + self.time(t)
        if _are_taken_by(self.stem.weight, x_t):
            return self.from_cells(self.run_cells(cells, condition, first_cell=0))
        velocity = self.run_cells(cells.to(self.stem.weight.dtype), condition, first_cell=0)
        return self.from_cells(velocity.to(x_t.dtype))

    def run_cells(
        self, cells: Tensor, condition: Tensor, *, first_cell: int, caches: list[KVCache] | None = None
    ) -> Tensor:
        """Velocity of consecutive cells from ``first_cell`` on; with caches the earlier cells are read from there."""
        start, count = first_cell * self.cell_tokens, cells.shape[1] * self.cell_tokens
        span = slice(start, start + count)
        table = self.rotary[span]
        per_cell = (-1, self.cell_tokens)
        caches_or_none: list[KVCache | None] = [None] * self.num_blocks if caches is None else list(caches)
        x = self.stem_norm(self.stem(cells) + self.first_positions[span].unflatten(0, per_cell))
        half = len(self.first_blocks)
        for block, cache in zip(self.first_blocks, caches_or_none[:half], strict=True):
            x = block(x, condition, table, cache, start)
        x = self.middle(self.first_norm(x)) + self.second_positions[span].unflatten(0, per_cell)
        for block, cache in zip(self.second_blocks, caches_or_none[half:], strict=True):
            x = block(x, condition, table, cache, start)
        out: Tensor = self.head(self.second_norm(x))
        return out

    @property
    def num_blocks(self) -> int:
        """Number of transformer blocks, so of caches."""
        return len(self.first_blocks) + len(self.second_blocks)

    def loss(self, latents: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Flow-matching loss with noisy context; times, noise and dropped labels come from ``generator``."""
        cells = self.to_cells(latents).float()
        check_labels(labels, self.null_label, len(latents))
        check_not_empty(labels)
        t = logit_normal_times((len(latents), self.num_cells), device=latents.device, generator=generator)
        noise = normal(cells.shape, latents.device, generator)
        sample = flow_path(cells, noise, t[:, :, None, None])
        condition = self.labels(labels, generator=generator)[:, None] + self.time(t)
        x_t = sample.x_t.to(self.stem.weight.dtype)
        velocity = self.run_cells(x_t, condition, first_cell=0).float()
        return (velocity - sample.velocity).square().mean()

    @torch.no_grad()
    def sample(
        self,
        labels: Tensor,
        *,
        num_steps: int = 50,
        guidance: float | Guidance = 1.0,
        generator: torch.Generator | None = None,
        method: Literal["sde", "ode", "heun"] = "sde",
        use_cache: bool = True,
    ) -> Tensor:
        """Latents of the given classes, float32.

        A bare ``guidance`` number grows linearly over the cells, from 1 at the first to its value at the last. The
        state is kept in float64. ``"sde"`` is Euler-Maruyama on the published grid, ``"ode"`` Euler and ``"heun"``
        Heun on an even grid. Without the cache every step runs all cells so far again: slower, and the same
        result up to rounding.
        """
        check_choice("method", method, ("sde", "ode", "heun"))
        check_labels(labels, self.null_label)
        with evaluating(self):
            schedule = as_guidance(guidance, "linear")
            cells = sample_cells(self, labels, num_steps, schedule, generator, method, use_cache)
        return self.from_cells(cells.float())


def _are_taken_by(weights: Tensor, x: Tensor) -> bool:
    """Whether a layer takes values as they are: in the dtype of its weights, or cast by autocast, but for float64."""
    cast = not x.is_meta and x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type)
    return cast or x.dtype == weights.dtype


def _check_sizes(in_channels: int, width: int, depth: int, num_heads: int) -> None:
    if in_channels < 1:
        raise ValueError(f"in_channels must be >= 1, got {in_channels}")
    if depth < 2 or depth % 2:
        raise ValueError(f"depth must be even and >= 2, got {depth}")
    if num_heads < 1 or width < 1 or width % (4 * num_heads):
        raise ValueError(f"width must be a multiple of 4 * num_heads, got width {width} and {num_heads} heads")
