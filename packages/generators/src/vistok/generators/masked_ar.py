"""Masked autoregression: several tokens a step, from a bidirectional transformer."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.generators._card import MASKED_AR_CARD
from vistok.generators._checks import check_dense, check_ids, check_integers, check_labels, check_not_empty
from vistok.generators._evaluating import evaluating
from vistok.generators._random import uniform
from vistok.generators.layers._bidirectional_block import LAYER_NORM_EPS, BidirectionalBlock
from vistok.generators.layers._position_cache import PositionCache
from vistok.generators.layers.attention import check_attention_backend
from vistok.generators.layers.label_embedding import LabelEmbedding
from vistok.generators.layers.rotary import behind_prefix, rotary_table
from vistok.generators.masked_ar_options import MaskedAROptions
from vistok.generators.masked_tokens import BitTokens, IdTokens
from vistok.generators.pretrained import PretrainedGenerator
from vistok.generators.sampling._masked_sampling import MaskedSampling, sample_masked
from vistok.generators.sampling.guidance import Guidance, as_guidance
from vistok.generators.sampling.mask_schedules import mask_ratio

_OPTIONS = MaskedAROptions()
_CONFIDENCE = MaskedSampling()


class MaskedAR(nn.Module, PretrainedGenerator):
    r"""Masked token generator.

    A random part :math:`M` of the units of a sample is hidden; the network sees the rest and the class:

    .. math:: L = -\frac{1}{|M|} \sum_{i \in M} \sum_k q_{ik} \log p(k \mid z_{\bar M}, y), \qquad
        q_{ik} = (1 - \lambda)\,[k = z_i] + \lambda / K

    with :math:`\lambda` the options' label smoothing, 0.1 unless they say otherwise, in eval mode too: set it to 0 for
    a likelihood.

    Source:
        Chang et al. 2022 (MaskGIT), arXiv:2202.04200, Eq. 1; bits: Weber et al. 2024 (MaskBit), arXiv:2409.16211.

    Args:
        tokens: :class:`IdTokens` or :class:`BitTokens`: what a position holds, in one or several units.
        shape: Number of positions, or ``(rows, columns)`` of a grid in row-major order.
        num_classes: Number of classes; label ``num_classes`` is the null label.
        width: Width, a multiple of ``4 * num_heads``.
        depth: Number of blocks.
        num_heads: Attention heads.
        options: The rest.

    Shape:
        - tokens: ``(B, T, U)`` int64, ``U`` units a position (streams, or groups of bits, see
          :meth:`BitTokens.to_groups`); mask: ``(B, T, U)`` bool, true where hidden; labels: ``(B,)`` int64.
        - :meth:`forward`: one ``(B, T, unit_size)`` float32 tensor of logits a unit.
        - :meth:`loss`: ``()`` float32; :meth:`sample`: ``(B, T, U)`` int64.

    Range:
        The loss is ``>= 0``. The logits do not depend on the ids under the mask.

    Gradient:
        Flows to every parameter except those of unused labels and tokens.

    Raises:
        ValueError: Sizes that do not fit each other or the input; labels or ids out of range (for CUDA see
            :class:`LabelEmbedding`); a loss of no samples; kernels of attention that cannot run.
        TypeError: Tokens or labels that are not dense tensors of integers.

    Example:
        >>> import torch
        >>> model = MaskedAR(IdTokens((16, 32)), (4, 4), 10, width=32, depth=2, num_heads=2)
        >>> rng = torch.Generator().manual_seed(0)
        >>> tokens = model.sample(torch.tensor([1, 2]), num_steps=4, guidance=2.0, generator=rng)
        >>> tokens.shape
        torch.Size([2, 16, 2])
        >>> model.loss(tokens, torch.tensor([1, 2]), generator=rng).shape
        torch.Size([])
    """

    card, parts = MASKED_AR_CARD, (IdTokens, BitTokens, MaskedAROptions)

    def __init__(
        self,
        tokens: IdTokens | BitTokens,
        shape: int | tuple[int, int],
        num_classes: int,
        *,
        width: int,
        depth: int,
        num_heads: int,
        options: MaskedAROptions = _OPTIONS,
    ) -> None:
        super().__init__()
        check_attention_backend(options.attention, name="attention")
        if depth < 1 or num_heads < 1 or width < 1 or width % (4 * num_heads):
            raise ValueError(f"need depth >= 1, width a multiple of 4 * num_heads: got {depth}, {width}, {num_heads}")
        self.tokens, self.shape, self.num_heads = tokens, shape, num_heads
        self.length = shape if isinstance(shape, int) else shape[0] * shape[1]
        if self.length < 1:
            raise ValueError(f"shape must hold at least one position, got {shape}")
        self.num_units, self.options = len(tokens.unit_sizes), options
        self.labels = LabelEmbedding(num_classes, width, drop_prob=options.label_drop_prob)
        self.tables = nn.ModuleList()
        if isinstance(tokens, IdTokens):
            self.tables.extend(nn.Embedding(size + 1, width) for size in tokens.unit_sizes)
        else:
            self.tables.append(nn.Linear(tokens.num_bits, width))
        self.input_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS) if options.post_norm else nn.Identity()
        self.dropout = nn.Dropout(options.dropout)
        self.blocks = nn.ModuleList(
            BidirectionalBlock(
                width, num_heads, dropout=options.dropout, post_norm=options.post_norm, backend=options.attention
            )
            for _ in range(depth)
        )
        self.output_norm = nn.Identity() if options.post_norm else nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.hidden = nn.Linear(width, width)
        self.hidden_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.classifiers = nn.ModuleList(nn.Linear(width, size) for size in tokens.unit_sizes)
        rotary = options.positions == "rotary"
        self.positions = None if rotary else nn.Parameter(torch.empty(self.length + 1, width))
        table = behind_prefix(rotary_table(shape, width // num_heads)) if rotary else None
        self.register_buffer("rotary", table, persistent=False)
        self.rotary: Tensor | None
        self._initialise()

    def _initialise(self) -> None:
        # 0.02 at the published width of 1024; narrow networks learned faster with more than that in short runs.
        std = 0.64 * self.hidden.in_features**-0.5
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=std)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        if self.positions is not None:
            nn.init.trunc_normal_(self.positions, std=std)

    @property
    def arguments(self) -> dict[str, Any]:
        """What makes a network of the same shape; :meth:`save_pretrained` writes it."""
        sizes = {"width": self.hidden.in_features, "depth": len(self.blocks), "num_heads": self.num_heads}
        rest = {"num_classes": self.null_label, **sizes, "options": self.options}
        return {"tokens": self.tokens, "shape": self.shape, **rest}

    @property
    def null_label(self) -> int:
        """The label of the unconditional model."""
        return self.labels.null_label

    def forward(
        self, tokens: Tensor, mask: Tensor, labels: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, ...]:
        """Logits of every unit given the units that are not masked; under the mask any ids will do."""
        self._check(tokens, labels)
        check_dense("mask", mask)
        if mask.shape != tokens.shape or mask.dtype != torch.bool:
            raise ValueError(f"mask must be bool of shape {tuple(tokens.shape)}, got {mask.dtype} {tuple(mask.shape)}")
        check_ids(tokens.masked_fill(mask, 0), self.tokens.unit_sizes)
        return self._logits(tokens, mask, self.labels(labels, generator=generator), [None] * len(self.blocks))

    def _logits(
        self, tokens: Tensor, mask: Tensor, prefix: Tensor, caches: Sequence[PositionCache | None]
    ) -> tuple[Tensor, ...]:
        return self._run(torch.cat([prefix[:, None], self._embed(tokens, mask)], dim=1), caches)

    def cached_logits(
        self, tokens: Tensor, mask: Tensor, labels: Tensor, caches: Sequence[PositionCache], positions: Tensor | None
    ) -> tuple[Tensor, ...]:
        """As :meth:`forward` for ``positions`` ``(B, n)``, which see the others as the caches keep them; or for all."""
        if positions is None:
            return self._logits(tokens, mask, self.labels(labels), caches)
        index = positions[..., None].expand(-1, -1, self.num_units)
        return self._run(self._embed(tokens.gather(1, index), mask.gather(1, index)), caches, positions + 1)

    def _run(self, x: Tensor, caches: Sequence[PositionCache | None], rows: Tensor | None = None) -> tuple[Tensor, ...]:
        """Logits from the embeddings of class and tokens, or of some tokens, in these ``rows`` behind the class."""
        table = self.rotary
        if self.positions is not None:
            x = x + (self.positions if rows is None else self.positions[rows])
        elif rows is not None and table is not None:
            table = table[rows][:, None]
        x = self.dropout(self.input_norm(x))
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, table, cache, rows)
        x = self.output_norm(x[:, 1:] if rows is None else x)
        x = self.hidden_norm(F.gelu(self.hidden(x)))
        return tuple(classifier(x).float() for classifier in self.classifiers)

    def _embed(self, tokens: Tensor, mask: Tensor) -> Tensor:
        if isinstance(self.tokens, BitTokens):
            bits = self.tokens.to_bits(tokens).unflatten(-1, (self.num_units, -1))
            bits = bits.masked_fill(mask[..., None], 0).flatten(-2)
            linear = self.tables[0]
            projected: Tensor = linear(bits.to(self.hidden.weight.dtype))
            return projected
        parts = [
            table(tokens[..., unit].masked_fill(mask[..., unit], size))
            for unit, (table, size) in enumerate(zip(self.tables, self.tokens.unit_sizes, strict=True))
        ]
        return torch.stack(parts).sum(dim=0)

    def draw_mask(self, batch: int, device: torch.device, *, generator: torch.Generator | None = None) -> Tensor:
        """A training mask ``(B, T, U)``; with exact numbers at least one unit of a sample is hidden."""
        ratio = mask_ratio(uniform((batch, 1), device, generator), self.options.schedule)
        units = self.length * self.num_units
        score = uniform((batch, units), device, generator)
        if self.options.independent_masks:
            mask = score < ratio
        else:
            count = (ratio * units).round().clamp_min(1)
            mask = score.argsort(dim=-1).argsort(dim=-1) < count
        return mask.reshape(batch, self.length, self.num_units)

    def loss(self, tokens: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Mean cross-entropy of the hidden units, in nats; mask and dropped labels come from ``generator``."""
        self._check(tokens, labels)
        check_not_empty(labels)
        check_ids(tokens, self.tokens.unit_sizes)
        mask = self.draw_mask(len(tokens), tokens.device, generator=generator)
        logits = self._logits(tokens, mask, self.labels(labels, generator=generator), [None] * len(self.blocks))
        smoothing, weight = self.options.label_smoothing, (mask + ~mask * self.options.unmasked_weight).float()
        total = weight.new_zeros(())
        for unit, stream in enumerate(logits):
            target = tokens[..., unit].flatten().long()
            terms = F.cross_entropy(stream.flatten(0, 1), target, reduction="none", label_smoothing=smoothing)
            total = total + (terms * weight[..., unit].flatten()).sum()
        return total / weight.sum().clamp_min(1)

    @torch.no_grad()
    def sample(
        self,
        labels: Tensor,
        *,
        num_steps: int = 16,
        guidance: float | Guidance = 1.0,
        settings: MaskedSampling = _CONFIDENCE,
        num_tokens: int | None = None,
        generator: torch.Generator | None = None,
        observe: Callable[[Tensor, Tensor], None] | None = None,
    ) -> Tensor:
        """Tokens of the given classes in ``num_steps`` steps, from 1 to the number of units.

        With ``num_tokens`` those of the first positions, ``(B, num_tokens, U)``: the others stay hidden. A bare
        ``guidance`` number grows linearly with the fraction of them that is known after the step, to its value.
        ``observe(tokens, mask)`` is called after every step with copies; the ids under the mask are that step's
        draws, which the next step replaces.
        """
        check_labels(labels, self.null_label)
        with evaluating(self):
            scales = as_guidance(guidance, "linear")
            return sample_masked(self, labels, num_steps, scales, settings, generator, observe, num_tokens)

    def _check(self, tokens: Tensor, labels: Tensor) -> None:
        check_integers("tokens", tokens)
        expected = (self.length, self.num_units)
        if tokens.ndim != 3 or tuple(tokens.shape[1:]) != expected:
            raise ValueError(f"tokens must have shape (B, {expected[0]}, {expected[1]}), got {tuple(tokens.shape)}")
        check_labels(labels, self.null_label, len(tokens))
