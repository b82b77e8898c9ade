"""The sampler of FAR: position after position, stream after stream."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from vistok.generators._checks import check_length
from vistok.generators.layers._packed_linear import packed
from vistok.generators.layers.kv_cache import KVCache
from vistok.generators.layers.label_embedding import LabelEmbedding
from vistok.generators.layers.normalization import RMSNorm
from vistok.generators.sampling._dtypes import cache_dtype, layer_dtype
from vistok.generators.sampling.guidance import Guidance, guide
from vistok.generators.sampling.token_sampling import check_draw, draw_tokens


class StreamModel(Protocol):
    """A backbone over positions and a head over streams: :class:`~vistok.generators.FAR`, as the sampler sees it."""

    length: int
    order: tuple[int, ...]
    num_heads: int
    labels: LabelEmbedding
    embeddings: nn.ModuleList
    blocks: nn.ModuleList
    head_blocks: nn.ModuleList
    norm: RMSNorm
    classifiers: nn.ModuleList
    rotary: Tensor
    head_rotary: Tensor

    @property
    def null_label(self) -> int: ...

    def embed(self, tokens: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class TokenChoice:
    """How an id is drawn from logits: see :func:`~vistok.generators.draw_tokens`.

    Args:
        temperature: 0 takes the most likely id.
        top_k: 0 keeps all.
        top_p: 1 keeps all.

    Raises:
        ValueError: ``temperature`` or ``top_k`` is not ``>= 0``, or ``top_p`` outside ``(0, 1]``.

    Example:
        >>> TokenChoice(top_k=100).temperature
        1.0
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        check_draw(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)


def sample_streams(
    model: StreamModel,
    labels: Tensor,
    guidance: Guidance,
    choice: TokenChoice,
    generator: torch.Generator | None,
    use_cache: bool,
    num_tokens: int | None,
) -> Tensor:
    """Tokens (B, k, K) of the first ``num_tokens`` positions, streams in the order of prediction."""
    last = max(model.length - 1, 1)
    scales = [guidance.at(position / last) for position in range(check_length(num_tokens, model.length))]
    decoder = _Decoder(model, labels, len(scales), any(scale != 1 for scale in scales), use_cache)
    for position, scale in enumerate(scales):
        decoder.start_position(position)
        for stream in range(len(model.order)):
            logits = decoder.logits(position, stream).float()
            if decoder.copies == 2:
                conditional, unconditional = logits.chunk(2)
                logits = guide(conditional, unconditional, scale)
            ids = draw_tokens(
                logits,
                temperature=choice.temperature,
                top_k=choice.top_k,
                top_p=choice.top_p,
                generator=generator,
            )
            decoder.tokens[:, position, stream] = ids.repeat(decoder.copies)
    return decoder.tokens[: len(labels)]


class _Decoder:
    """Backbone and head with their caches; the batch is doubled when guided, the null-label half at the end.

    With the cache a step is a few rows against all weights, so these are packed once, before the first.
    """

    def __init__(self, model: StreamModel, labels: Tensor, length: int, guided: bool, use_cache: bool) -> None:
        self.model = packed(model, layer_dtype(model.labels.table.weight)) if use_cache else model
        self.copies = 2 if guided else 1
        if guided:
            labels = torch.cat([labels, torch.full_like(labels, model.null_label)])
        self.prefix = model.labels(labels)[:, None]
        self.tokens = labels.new_zeros(len(labels), length, len(model.order), dtype=torch.int64)
        self.context = self.prefix
        self.caches: list[KVCache | None] = [None] * len(model.blocks)
        self.head_caches: list[KVCache | None] = [None] * len(model.head_blocks)
        if use_cache:
            self.caches = self._new_caches(len(model.blocks), length)
            self.head_caches = self._new_caches(len(model.head_blocks), len(model.order))

    def _new_caches(self, count: int, length: int) -> list[KVCache | None]:
        width, heads = self.prefix.shape[-1], self.model.num_heads
        size = (len(self.prefix), heads, length, width // heads)
        dtype, device = cache_dtype(self.prefix), self.prefix.device
        return [KVCache(*size, dtype=dtype, device=device) for _ in range(count)]

    def start_position(self, position: int) -> None:
        """Run the backbone up to ``position``: its context for the head."""
        model = self.model
        cached = self.caches[0] is not None
        if position == 0:
            x, start = self.prefix, 0
        elif cached:
            x, start = model.embed(self.tokens[:, position - 1 : position]), position
        else:
            x, start = torch.cat([self.prefix, model.embed(self.tokens[:, :position])], dim=1), 0
        table = model.rotary[start : position + 1]
        for block, cache in zip(model.blocks, self.caches, strict=True):
            x = block(x, table, cache, start)
        self.context = x[:, -1:]

    def logits(self, position: int, stream: int) -> Tensor:
        """Logits of one stream, given the context and the earlier streams of the position."""
        model = self.model
        cached = bool(self.head_caches) and self.head_caches[0] is not None
        known = self.tokens[:, position]
        start = stream if cached else 0
        parts = [self.context] if start == 0 else []
        parts += [model.embeddings[k](known[:, k : k + 1]) for k in range(max(start, 1) - 1, stream)]
        x = torch.cat(parts, dim=1)
        table = model.head_rotary[start : stream + 1]
        for block, cache in zip(model.head_blocks, self.head_caches, strict=True):
            x = block(x, table, cache, start)
        out: Tensor = model.classifiers[stream](model.norm(x[:, -1]))
        return out
