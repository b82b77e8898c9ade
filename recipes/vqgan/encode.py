"""Cache the tokens of a data set, and what its latents need, so that a generator trains without the tokenizer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from vistok.workbench.data import Images
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.tensor_files import load_tensors, save_tensors
from vqgan.config import VQGANConfig
from vqgan.model import VQGAN
from vqgan.paths import RunPaths
from vqgan.quantizer import Tokens, join_streams

_QUANTIZER = "quantizer."  # before the names of its state


@dataclass(frozen=True)
class TokenCache:
    """Tokens of a data set and the quantizer that turns them into codes.

    The latents are kept as indices, which is exact and a small part of their size.

    Attributes:
        streams: ``(S, V, N, h, w)`` int32; V is 1, or 2 with horizontally flipped images.
        labels: ``(N,)`` int64.
        mean, std: ``(d, 1, 1)`` of the latents' channels.
        quantizer: On the CPU, in evaluation.
    """

    streams: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    quantizer: Any

    def __len__(self) -> int:
        return self.labels.shape[0]

    def tokens(self, indices: Tensor, flips: Tensor | None = None) -> Tokens:
        """The tokens of some images; ``flips (n,)`` bool picks the flipped ones where they are cached."""
        variant = torch.zeros_like(indices)
        if flips is not None and self.streams.shape[1] > 1:
            variant = flips.long()
        return tuple(stream[variant, indices].long() for stream in self.streams)

    @torch.no_grad()
    def codes(self, tokens: Tokens) -> Tensor:
        """The codes ``(B, d, h, w)`` of tokens."""
        codes: Tensor = self.quantizer.indices_to_codes(join_streams(tokens))
        return codes

    def latents(self, tokens: Tokens) -> Tensor:
        """Codes of zero mean and unit deviation a channel: flow matching assumes that scale."""
        return (self.codes(tokens) - self.mean) / self.std

    def unscale(self, latents: Tensor) -> Tensor:
        """Undo the scaling of :meth:`latents`."""
        return latents * self.std + self.mean


def encode_data_set(config: VQGANConfig, paths: RunPaths) -> None:
    """Write the cache of the training images."""
    tokenizer = VQGAN.from_pretrained(paths.tokenizer).eval().to(best_device())
    train, _ = config.data.load()
    variants = [
        encode_images(tokenizer, train, flip=flip)
        for flip in ([False, True] if config.data.horizontal_flip else [False])
    ]
    streams = torch.stack(variants, dim=1)
    parts = (tokenizer.codes(tuple(part.long())) for part in streams.flatten(1, 2).split(1000, dim=1))
    mean, std = channel_moments(parts)
    state = {_QUANTIZER + name: tensor.cpu() for name, tensor in tokenizer.quantizer.state_dict().items()}
    save_tensors(paths.tokens, {"streams": streams, "labels": train.labels, "mean": mean, "std": std, **state})


def load_tokens(config: VQGANConfig, paths: RunPaths) -> TokenCache:
    """Read the cache."""
    quantizer = config.tokenizer.quantizer.build().eval()
    state = {name: _QUANTIZER + name for name in quantizer.state_dict()}
    stored = load_tensors(paths.tokens, "streams", "labels", "mean", "std", *state.values())
    quantizer.load_state_dict({name: stored.pop(kept) for name, kept in state.items()})
    return TokenCache(**stored, quantizer=quantizer)


@torch.no_grad()
def encode_images(tokenizer: VQGAN, images: Images, *, flip: bool = False, batch_size: int = 100) -> Tensor:
    """Tokens of a whole image set in order, ``(S, N, h, w)`` int32 on the CPU."""
    grid = tokenizer.settings.grid_size
    streams = torch.empty((len(tokenizer.codebook_sizes), len(images), grid, grid), dtype=torch.int32)
    for chunk in tqdm(torch.arange(len(images)).split(batch_size), desc="encode", unit="batch"):
        batch = images.batch(chunk)
        for kept, given in zip(streams, tokenizer.encode(batch.flip(-1) if flip else batch), strict=True):
            kept[chunk] = given.int().cpu()
    return streams


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
