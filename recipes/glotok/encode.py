"""Cache the tokens of a data set, and what its latents need, so that a generator trains without the tokenizer."""

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from glotok.config import GloTokConfig
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from vistok.workbench.data import Images
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.tensor_files import load_tensors, save_tensors


@dataclass(frozen=True)
class TokenCache:
    """Tokens of a data set and the codes they stand for.

    The latents are kept as indices and the two matrices of codes, which is exact and a small part of their size.

    Attributes:
        semantic, visual: ``(V, N, h, w)`` int32; V is 1, or 2 with horizontally flipped images.
        labels: ``(N,)`` int64.
        semantic_codes, visual_codes: ``(K, d)``, as the decoder and the generator see them.
        mean, std: ``(2 d, 1, 1)`` of the latents' channels [visual, semantic].
    """

    semantic: Tensor
    visual: Tensor
    labels: Tensor
    semantic_codes: Tensor
    visual_codes: Tensor
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return self.labels.shape[0]

    def tokens(self, indices: Tensor, flips: Tensor | None = None) -> Tokens:
        """The tokens of some images; ``flips (n,)`` bool picks the flipped ones where they are cached."""
        variant = torch.zeros_like(indices)
        if flips is not None and self.semantic.shape[0] > 1:
            variant = flips.long()
        return Tokens(self.semantic[variant, indices].long(), self.visual[variant, indices].long())

    def latents(self, tokens: Tokens) -> Tensor:
        """Latents ``(B, 2 d, h, w)`` of zero mean and unit deviation a channel: flow matching assumes that scale."""
        pair = torch.cat([self.visual_codes[tokens.visual], self.semantic_codes[tokens.semantic]], dim=-1)
        return (pair.permute(0, 3, 1, 2) - self.mean) / self.std

    def unscale(self, latents: Tensor) -> Tensor:
        """Undo the scaling of :meth:`latents`."""
        return latents * self.std + self.mean


def encode_data_set(config: GloTokConfig, paths: RunPaths) -> None:
    """Write the cache of the training images."""
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval().to(best_device())
    train, _ = config.data.load()
    variants = [
        encode_images(tokenizer, train, flip=flip)
        for flip in ([False, True] if config.data.horizontal_flip else [False])
    ]
    semantic, visual = (torch.stack([tokens[book] for tokens in variants]) for book in (0, 1))
    with torch.no_grad():
        semantic_codes, visual_codes = (
            quantizer.indices_to_codes(torch.arange(quantizer.codebook_size)[None].to(tokenizer.device))[0].T.cpu()
            for quantizer in (tokenizer.quantizer.semantic, tokenizer.quantizer.visual)
        )
    moments = [code_moments(visual_codes, visual), code_moments(semantic_codes, semantic)]
    tensors = {
        "semantic": semantic,
        "visual": visual,
        "labels": train.labels,
        "semantic_codes": semantic_codes,
        "visual_codes": visual_codes,
        "mean": torch.cat([mean for mean, _ in moments])[:, None, None],
        "std": torch.cat([std for _, std in moments])[:, None, None],
    }
    save_tensors(paths.tokens, tensors)


def load_tokens(paths: RunPaths) -> TokenCache:
    """Read the cache."""
    return TokenCache(**load_tensors(paths.tokens, *TokenCache.__dataclass_fields__))


@torch.no_grad()
def encode_images(tokenizer: GloTok, images: Images, *, flip: bool = False, batch_size: int = 100) -> Tokens:
    """Tokens of a whole image set, in order, as int32 on the CPU."""
    shape = (len(images), tokenizer.settings.grid_size, tokenizer.settings.grid_size)
    tokens = Tokens(torch.empty(shape, dtype=torch.int32), torch.empty(shape, dtype=torch.int32))
    for chunk in tqdm(torch.arange(len(images)).split(batch_size), desc="encode", unit="batch"):
        batch = images.batch(chunk)
        for kept, given in zip(tokens, tokenizer.encode(batch.flip(-1) if flip else batch), strict=True):
            kept[chunk] = given.int().cpu()
    return tokens


def code_moments(codes: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation ``(d,)`` of each channel of ``codes[indices]``, from the counts alone, in float64."""
    weights = torch.bincount(indices.flatten().long(), minlength=len(codes)).double()
    weights = (weights / weights.sum())[:, None]
    mean = (weights * codes.double()).sum(0)
    variance = (weights * (codes.double() - mean).square()).sum(0)
    return mean.float(), variance.sqrt().clamp_min(1e-6).float()
