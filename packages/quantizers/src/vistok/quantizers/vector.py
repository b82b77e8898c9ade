"""Vector quantization with one codebook."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.quantizers._collectives import rows_of_all_ranks, sum_over_ranks, value_of_first_rank
from vistok.quantizers._precision import autocast_off, unit
from vistok.quantizers._rows import (
    channels_back,
    channels_last,
    check_features,
    check_indices,
    check_sizes,
    check_token_block,
    finite_rows,
    random_order,
)
from vistok.quantizers._tokens import Tokens, quantize_tokens
from vistok.quantizers.k_means import k_means
from vistok.quantizers.nearest import Metric, nearest_codes
from vistok.quantizers.quantized import Quantized

Learning = Literal["gradient", "ema"]
_SUMS = ("pending_sum", "ema_count", "ema_sum")  # of the moving average


class VectorQuantizer(nn.Module):
    r"""Replace each vector by its nearest code.

    .. math::
        i = \arg\min_k \lVert s(z) - s(c_k) \rVert, \qquad \mathrm{codes} = s(c_i), \qquad
        \mathrm{quantized} = s(z) + \mathrm{sg}[s(c_i) - s(z)]

    with :math:`s(x) = x` for ``metric="euclidean"`` and :math:`s(x) = x / \lVert x \rVert` for ``"cosine"``; a vector
    shorter than 1e-8 counts as zero there.
    With ``learning="ema"`` every call of :meth:`update` moves the codes that were chosen since the last call:

    .. math::
        N_k \leftarrow \gamma N_k + (1-\gamma) n_k, \quad m_k \leftarrow \gamma m_k + (1-\gamma) \sum_{i(z)=k} s(z),
        \quad c_k = m_k / N_k

    The lookup uses the codebook as it was before the update. Call ``update()`` once after each optimizer step, with
    either way of learning: after several forward passes it treats them as one batch (gradient accumulation). It
    also counts how long each code has been unused, which :meth:`revive` needs. Evaluation changes nothing.

    Source:
        van den Oord et al. 2017, arXiv:1711.00937, Eq. 1-2 and Appendix A.1 (moving average);
        unit-length codes: Yu et al. 2021, arXiv:2110.04627, Sec. 3.2.

    Args:
        codebook_size: Number of codes ``K``.
        code_dim: Channels of a code.
        metric: ``"cosine"`` (features and codes of unit length) or ``"euclidean"``.
        learning: ``"gradient"`` (the codebook is a parameter; add a codebook loss) or ``"ema"`` (a buffer).
        channel_dim: Dimension of the channels: 1 for ``(B, C, *spatial)``, -1 for ``(B, N, C)``. Never guessed.
        decay: ``gamma`` of the moving average, ``0 <= decay < 1``; unused with ``learning="gradient"``.
        generator: Draws the initial codebook, uniform in ``(-1/K, 1/K)`` (then unit length for cosine); the
            global generator if ``None``.
        token_block: Tokens searched at a time; bounds the memory and changes no result.

    Shape:
        - z: ``(B, C, *spatial)`` or any shape with ``code_dim`` channels at ``channel_dim``; any float dtype.
        - quantized, codes: as ``z``, dtype of ``z``.
        - indices: ``z`` without the channel dimension, int64.

    Range:
        ``indices`` in ``0 .. K - 1``, the lowest of equally near codes; ``quantized`` equals ``codes``. A token with
        a value that is not finite gets index 0, NaN in ``quantized``, and is left out of all statistics.
        Empty batches are allowed.

    Gradient:
        ``quantized``: identity to ``s(z)``, none to the codebook; with ``metric="cosine"`` none to a zero ``z``.
        ``codes``: to the chosen rows of the codebook when it is learned by gradient, none to ``z``.

    Raises:
        TypeError: ``z`` is not a dense floating-point tensor, ``indices`` not a dense integer tensor.
        ValueError: an argument out of range (at construction); wrong channels or dimensions, indices out of range
            (at call); :meth:`initialize` of a frozen codebook.

    Distributed:
        ``forward`` uses no collective. ``update``, ``revive`` and ``initialize`` must be called by all ranks and
        leave the same state on all that had the same. DDP overwrites the statistics of all ranks with those of rank 0
        at each of its forward passes: with gradient accumulation use ``no_sync()``, as usual, and for several forward
        passes a step ``broadcast_buffers=False``, with which each rank also keeps the codes that it drew for a moving
        average: broadcast the buffers once before.

    Example:
        >>> import torch
        >>> quantizer = VectorQuantizer(16, 4, generator=torch.Generator().manual_seed(0))
        >>> quantized, codes, indices = quantizer(torch.randn(2, 4, 3, 3))
        >>> quantized.shape, indices.shape
        (torch.Size([2, 4, 3, 3]), torch.Size([2, 3, 3]))
        >>> torch.equal(quantizer(quantizer.indices_to_codes(indices)).indices, indices)
        True
    """

    weight: Tensor
    steps_unused: Tensor
    pending_count: Tensor
    pending_sum: Tensor
    ema_count: Tensor
    ema_sum: Tensor

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        metric: Metric = "cosine",
        learning: Learning = "gradient",
        channel_dim: int = 1,
        decay: float = 0.99,
        generator: torch.Generator | None = None,
        token_block: int | None = None,
    ) -> None:
        super().__init__()
        _check_arguments(codebook_size, code_dim, metric, learning, decay)
        check_token_block(token_block, "VectorQuantizer")
        self.codebook_size, self.code_dim, self.channel_dim = codebook_size, code_dim, channel_dim
        self.metric, self.learning, self.decay = metric, learning, decay
        self.token_block, self.frozen = token_block, False
        weight = torch.empty(codebook_size, code_dim).uniform_(-1, 1, generator=generator)
        weight = unit(weight) if metric == "cosine" else weight / codebook_size
        self.register_buffer("steps_unused", torch.zeros(codebook_size, dtype=torch.int64))
        self.register_buffer("pending_count", torch.zeros(codebook_size, dtype=torch.int64))
        if learning == "gradient":
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)
            self.register_buffer("pending_sum", torch.zeros_like(weight))
            self.register_buffer("ema_count", torch.ones(codebook_size))
            self.register_buffer("ema_sum", weight.clone())

    @property
    def codebook(self) -> Tensor:
        """The ``(K, d)`` rows as stored, a parameter when learned by gradient; cosine codes are their directions."""
        return self.weight

    def to_code_space(self, z: Tensor) -> Tensor:
        """Return ``s(z)``: the features that codes are compared with, in the layout and dtype of ``z``."""
        check_features(z, self.channel_dim, self.code_dim, "VectorQuantizer")
        return channels_back(self._scaled(channels_last(z, self.channel_dim)), self.channel_dim).to(z.dtype)

    def forward(self, z: Tensor) -> Quantized:
        """Quantize ``z``; in training also collect the statistics for :meth:`update`."""
        check_features(z, self.channel_dim, self.code_dim, "VectorQuantizer")
        result, tokens = quantize_tokens(
            z, self.channel_dim, scale=self._scaled, assign=self._assign, lookup=self._lookup
        )
        if self.training and not self.frozen:
            self._collect(tokens)
        return result

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Return the codes of ``indices``, channels at ``channel_dim``, in the dtype of the codebook."""
        check_indices(indices, "VectorQuantizer", self.codebook_size, channel_dim=self.channel_dim)
        return channels_back(self._lookup(indices.long()), self.channel_dim).to(self.weight.dtype)

    def codes_to_indices(self, codes: Tensor) -> Tensor:
        """Return the index nearest to each of ``codes``: the inverse of :meth:`indices_to_codes` for distinct codes."""
        check_features(codes, self.channel_dim, self.code_dim, "VectorQuantizer")
        scaled = self._scaled(channels_last(codes.detach(), self.channel_dim))
        return self._assign(scaled.reshape(-1, self.code_dim)).view(scaled.shape[:-1])

    def freeze(self) -> None:
        """Stop all learning of the codebook until :meth:`unfreeze`. Not in the state dict: call it again on resume.

        A gradient that has arrived is dropped: the optimizer's next step would move the codes. So are the statistics
        since the last :meth:`update`. A parent's ``requires_grad_(True)`` does not undo it: codes stay constants.
        """
        self.frozen = True
        self._forget_pending()
        if self.learning == "gradient":
            self.weight.requires_grad_(False)
            self.weight.grad = None

    def unfreeze(self) -> None:
        """Undo :meth:`freeze`."""
        self.frozen = False
        if self.learning == "gradient":
            self.weight.requires_grad_(True)

    @torch.no_grad()
    def update(self) -> None:
        """Close a step: apply the moving average (``learning="ema"``) and count how long each code is unused."""
        if self.frozen:
            return
        count = sum_over_ranks(self.pending_count)
        used = count > 0
        if self.learning == "ema":
            total = sum_over_ranks(self.pending_sum)
            self.ema_count.lerp_(count.to(self.ema_count.dtype), 1 - self.decay)
            self.ema_sum.lerp_(total, 1 - self.decay)
            moved = self._scaled(self.ema_sum / self.ema_count.unsqueeze(1))
            self.weight.copy_(torch.where(used.unsqueeze(1), moved.to(self.weight.dtype), self.weight))
        self.steps_unused.add_(1).masked_fill_(used, 0)
        self._forget_pending()

    @torch.no_grad()
    def initialize(self, z: Tensor, *, generator: torch.Generator | None, iterations: int = 10) -> None:
        """Set the codebook to the k-means centres of the features of all ranks and reset the statistics.

        ``generator`` draws the rows that the centres start from; the global generator if ``None``.
        """
        if self.frozen:
            raise ValueError("VectorQuantizer.initialize: the codebook is frozen; call unfreeze() first")
        rows = channels_last(self.to_code_space(z), self.channel_dim).reshape(-1, self.code_dim)
        centres = k_means(rows, self.codebook_size, generator=generator, metric=self.metric, iterations=iterations)
        self._replace(torch.arange(self.codebook_size, device=self.weight.device), centres)
        self._forget_pending()

    @torch.no_grad()
    def revive(self, z: Tensor, *, generator: torch.Generator | None, after: int = 1) -> Tensor:
        """Replace codes that went unused for ``after`` updates by features drawn from ``z`` of all ranks.

        Each feature is drawn at most once, so at most as many codes are replaced as there are finite tokens, the
        longest unused first. The state of the moving average is reset for them. ``generator`` draws, the global one
        if ``None``; on rank 0 only its draw counts.

        Returns:
            The indices of the replaced codes, ``(m,)`` int64, ascending: reset the optimizer's moments of these
            rows when the codebook is learned by gradient.
        """
        if after < 1:
            raise ValueError(f"VectorQuantizer.revive: after must be at least 1, got {after}")
        rows = channels_last(self.to_code_space(z), self.channel_dim).reshape(-1, self.code_dim).float()
        rows = rows_of_all_ranks(finite_rows(rows))
        oldest = self.steps_unused.sort(descending=True, stable=True).indices
        dead = oldest[self.steps_unused[oldest] >= after][: rows.shape[0]]
        if self.frozen:
            dead = dead[:0]
        dead = dead.sort().values
        order = random_order(rows.shape[0], generator)
        self._replace(dead, value_of_first_rank(rows[order[: dead.shape[0]].to(rows.device)]))
        return dead

    def extra_repr(self) -> str:
        """Show the arguments in the module's representation."""
        return f"{self.codebook_size}, {self.code_dim}, metric={self.metric!r}, learning={self.learning!r}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "VectorQuantizer":
        """As for any module, but sums of the moving average stay wide: in half precision they stop growing."""
        wide = {name: self._buffers[name] for name in _SUMS if name in self._buffers}
        super()._apply(fn, recurse)
        for name, before in wide.items():
            if before is not None and getattr(self, name).dtype in (torch.float16, torch.bfloat16):
                setattr(self, name, before.to(getattr(self, name).device))
        return self

    def _scaled(self, x: Tensor) -> Tensor:
        with autocast_off(x):
            return unit(x.float()) if self.metric == "cosine" else x.float()

    def _lookup(self, indices: Tensor) -> Tensor:
        return self._scaled(F.embedding(indices, self.weight.detach() if self.frozen else self.weight))

    def _assign(self, rows: Tensor) -> Tensor:
        return nearest_codes(rows, self.weight.detach(), metric=self.metric, token_block=self.token_block)

    @torch.no_grad()
    def _collect(self, tokens: Tokens) -> None:
        self.pending_count.index_add_(0, tokens.indices, tokens.finite.long())
        if self.learning == "ema":
            self.pending_sum.index_add_(0, tokens.indices, tokens.rows.to(self.pending_sum.dtype))

    def _forget_pending(self) -> None:
        self.pending_count.zero_()
        if self.learning == "ema":
            self.pending_sum.zero_()

    def _replace(self, codes: Tensor, features: Tensor) -> None:
        self.weight.index_copy_(0, codes, features.to(self.weight.dtype))
        self.steps_unused.index_fill_(0, codes, 0)
        if self.learning == "ema":
            self.ema_count.index_fill_(0, codes, 1.0)
            self.ema_sum.index_copy_(0, codes, features.to(self.ema_sum.dtype))


def _check_arguments(codebook_size: int, code_dim: int, metric: str, learning: str, decay: float) -> None:
    check_sizes("VectorQuantizer", {"codebook_size": codebook_size, "code_dim": code_dim})
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"VectorQuantizer: metric must be 'cosine' or 'euclidean', got {metric!r}")
    if learning not in ("gradient", "ema"):
        raise ValueError(f"VectorQuantizer: learning must be 'gradient' or 'ema', got {learning!r}")
    if not 0 <= decay < 1:
        raise ValueError(f"VectorQuantizer: decay must be in [0, 1), got {decay}")
