"""Cache the tokens of a data set, and what its latents need, so that a generator trains without the tokenizer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vistok.workbench.run.devices import best_device
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.tensor_files import load_tensors, save_tensors
from vistok.workbench.tokens.encoding import Coder, ShardWriter, tokenizer_checksum, write_shards
from vistok.workbench.tokens.latent_scale import LatentScale
from vistok.workbench.tokens.shards import TokenShards, open_tokens, write_index
from vqgan.config import VQGANConfig
from vqgan.model import VQGAN
from vqgan.quantizer import Tokens, join_streams

CODES = "codes.safetensors"  # beside the shards
STREAMS = "streams"  # the kind of tokens that they hold
_QUANTIZER = "quantizer."  # before the names of its state


@dataclass(frozen=True)
class TokenCache:
    """Tokens of a data set and the quantizer that turns them into codes.

    The latents are kept as indices, which is exact and a small part of their size.

    Attributes:
        shards: The tokens ``(N, V, S, h, w)`` of all streams; V is 1, 2 with flips, 10 of ten-crop.
        scale: Of the latents' channels.
        quantizer: On the CPU, in evaluation.
    """

    shards: TokenShards
    scale: LatentScale
    quantizer: Any

    def __len__(self) -> int:
        return len(self.shards)

    @property
    def labels(self) -> Tensor:
        """``(N,)`` int64."""
        return self.shards.labels

    def tokens(self, indices: Tensor, variants: Tensor | None = None) -> Tokens:
        """The tokens of some images, of the first variant of each if none is said."""
        return self.shards.pick(STREAMS, indices, variants).unbind(1)

    @torch.no_grad()
    def codes(self, tokens: Tokens) -> Tensor:
        """The codes ``(B, d, h, w)`` of tokens."""
        codes: Tensor = self.quantizer.indices_to_codes(join_streams(tokens))
        return codes

    def latents(self, tokens: Tokens) -> Tensor:
        """The codes of tokens, at the scale that generators see."""
        return self.scale.scale(self.codes(tokens))


def token_coder(tokenizer: VQGAN, made_by: str = "") -> Coder:
    """What makes tokens of images, the streams stacked ``(B, S, h, w)``."""
    sizes = {STREAMS: max(tokenizer.codebook_sizes)}
    return Coder(lambda images: {STREAMS: torch.stack(tokenizer.encode(images), dim=1)}, sizes, made_by)


def encode_data_set(config: VQGANConfig, paths: RunPaths, *, resume: bool = False) -> None:
    """Write the cache of the training images; ``resume`` keeps the shards that are there."""
    tokenizer = VQGAN.from_pretrained(paths.tokenizer).eval().to(best_device())
    coder = token_coder(tokenizer, tokenizer_checksum(paths.tokenizer))
    writer = ShardWriter(paths.tokens, coder, config.data.load_to_encode(), config.data.token_variants)
    shards = write_shards(writer, resume=resume)
    if shards is None:
        return
    mean, std = channel_moments(tokenizer.codes(tokens) for tokens in all_tokens(shards))
    state = {_QUANTIZER + name: tensor.cpu() for name, tensor in tokenizer.quantizer.state_dict().items()}
    save_tensors(paths.tokens / CODES, {"mean": mean, "std": std, **state})
    write_index(paths.tokens, writer.about)


def load_tokens(config: VQGANConfig, paths: RunPaths) -> TokenCache:
    """Open the cache."""
    quantizer = config.tokenizer.quantizer.build().eval()
    state = {name: _QUANTIZER + name for name in quantizer.state_dict()}
    stored = load_tensors(paths.tokens / CODES, *state.values())
    quantizer.load_state_dict({name: stored[kept] for name, kept in state.items()})
    return TokenCache(open_tokens(paths.tokens), LatentScale.load(paths.tokens / CODES), quantizer)


def all_tokens(shards: TokenShards) -> Iterator[Tokens]:
    """The tokens of all images, the first variant of all before the second, a thousand at a time."""
    for part in torch.arange(len(shards.variants) * len(shards)).split(1000):
        yield shards.pick(STREAMS, part % len(shards), part // len(shards)).unbind(1)


@torch.no_grad()
def channel_moments(parts: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation ``(d, 1, 1)`` of each channel of codes ``(B, d, h, w)``, in float64 over all parts."""
    count, total, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
    for part in parts:
        rows = part.double().cpu().movedim(1, -1).flatten(0, -2)
        count, total, squares = count + len(rows), total + rows.sum(0), squares + rows.square().sum(0)
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt().clamp_min(1e-6)
    return mean.float()[:, None, None], std.float()[:, None, None]
