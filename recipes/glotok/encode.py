"""Cache the tokens of a data set, and what its latents need, so that a generator trains without the tokenizer."""

from dataclasses import dataclass

import torch
from torch import Tensor

from glotok.config import GloTokConfig
from glotok.model import GloTok, Tokens
from glotok.paths import RunPaths
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.tensor_files import load_tensors, save_tensors
from vistok.workbench.tokens.encoding import Coder, ShardWriter, tokenizer_checksum, write_shards
from vistok.workbench.tokens.latent_scale import LatentScale
from vistok.workbench.tokens.shards import TokenShards, open_tokens, write_index

CODES = "codes.safetensors"  # beside the shards


@dataclass(frozen=True)
class TokenCache:
    """Tokens of a data set and the codes they stand for.

    The latents are kept as indices and the two matrices of codes, which is exact and a small part of their size.

    Attributes:
        shards: The tokens ``(N, V, h, w)`` of the kinds ``semantic`` and ``visual``; V is 1, 2 with flips,
            10 of ten-crop.
        semantic_codes, visual_codes: ``(K, d)``, as the decoder and the generator see them.
        scale: Of the latents' channels [visual, semantic].
    """

    shards: TokenShards
    semantic_codes: Tensor
    visual_codes: Tensor
    scale: LatentScale

    def __len__(self) -> int:
        return len(self.shards)

    @property
    def labels(self) -> Tensor:
        """``(N,)`` int64."""
        return self.shards.labels

    def tokens(self, indices: Tensor, variants: Tensor | None = None) -> Tokens:
        """The tokens of some images, of the first variant of each if none is said."""
        return Tokens(*(self.shards.pick(kind, indices, variants) for kind in Tokens._fields))

    def latents(self, tokens: Tokens) -> Tensor:
        """Latents ``(B, 2 d, h, w)`` of tokens, at the scale that generators see."""
        pair = torch.cat([self.visual_codes[tokens.visual], self.semantic_codes[tokens.semantic]], dim=-1)
        return self.scale.scale(pair.permute(0, 3, 1, 2))


def token_coder(tokenizer: GloTok, made_by: str = "") -> Coder:
    """What makes tokens of images."""
    sizes = dict(zip(Tokens._fields, tokenizer.codebook_sizes, strict=True))
    return Coder(lambda images: tokenizer.encode(images)._asdict(), sizes, made_by)


def encode_data_set(config: GloTokConfig, paths: RunPaths, *, resume: bool = False) -> None:
    """Write the cache of the training images; ``resume`` keeps the shards that are there."""
    tokenizer = GloTok.from_pretrained(paths.tokenizer).eval().to(best_device())
    coder = token_coder(tokenizer, tokenizer_checksum(paths.tokenizer))
    writer = ShardWriter(paths.tokens, coder, config.data.load_to_encode(), config.data.token_variants)
    shards = write_shards(writer, resume=resume)
    if shards is None:
        return
    with torch.no_grad():
        semantic_codes, visual_codes = (
            quantizer.indices_to_codes(torch.arange(quantizer.codebook_size)[None].to(tokenizer.device))[0].T.cpu()
            for quantizer in (tokenizer.quantizer.semantic, tokenizer.quantizer.visual)
        )
    moments = [
        code_moments(codes, shards.counts(kind, len(codes)))
        for kind, codes in (("visual", visual_codes), ("semantic", semantic_codes))
    ]
    tensors = {
        "semantic_codes": semantic_codes,
        "visual_codes": visual_codes,
        "mean": torch.cat([mean for mean, _ in moments])[:, None, None],
        "std": torch.cat([std for _, std in moments])[:, None, None],
    }
    save_tensors(paths.tokens / CODES, tensors)
    write_index(paths.tokens, writer.about)


def load_tokens(paths: RunPaths) -> TokenCache:
    """Open the cache."""
    codes = load_tensors(paths.tokens / CODES, "semantic_codes", "visual_codes")
    return TokenCache(open_tokens(paths.tokens), **codes, scale=LatentScale.load(paths.tokens / CODES))


def code_moments(codes: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation ``(d,)`` of each channel of codes that occur so often, in float64."""
    weights = counts.double()
    weights = (weights / weights.sum())[:, None]
    mean = (weights * codes.double()).sum(0)
    variance = (weights * (codes.double() - mean).square()).sum(0)
    return mean.float(), variance.sqrt().clamp_min(1e-6).float()
