"""Cache the tokens of a data set, so that a generator trains without the tokenizer."""

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from semtok.config import SemTokConfig
from semtok.model import LatentSpace, SemTok
from semtok.paths import RunPaths
from vistok.workbench.data import Images
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.tensor_files import load_tensors, save_tensors


@dataclass(frozen=True)
class TokenCache:
    """Tokens of a data set.

    Attributes:
        tokens: ``(V, M, N)`` int32 (int64 where a token has more than 31 bits); V is 1, or 2 with flipped images. Bit
            ``k`` of a token counts ``2 ** k``.
        labels: ``(M,)`` int64.
    """

    tokens: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return self.labels.shape[0]

    def pick(self, indices: Tensor, flips: Tensor) -> Tensor:
        """The tokens of some images; ``flips (n,)`` bool picks the flipped ones where they are cached."""
        variant = flips.long() if self.tokens.shape[0] > 1 else torch.zeros_like(indices)
        return self.tokens[variant, indices].long()


def encode_data_set(config: SemTokConfig, paths: RunPaths, space: LatentSpace | None = None) -> None:
    """Write the cache of the training images."""
    tokenizer = SemTok.from_pretrained(paths.tokenizer, space=space).eval().to(best_device())
    train, _ = config.data.load()
    variants = [False, True] if config.data.horizontal_flip else [False]
    tokens = torch.stack([encode_images(tokenizer, train, flip=flip) for flip in variants])
    save_tensors(paths.tokens, {"tokens": tokens, "labels": train.labels})


def load_tokens(paths: RunPaths) -> TokenCache:
    """Read the cache."""
    return TokenCache(**load_tensors(paths.tokens, *TokenCache.__dataclass_fields__))


@torch.no_grad()
def encode_images(tokenizer: SemTok, images: Images, *, flip: bool = False, batch_size: int = 100) -> Tensor:
    """Tokens ``(M, N)`` of a whole image set, in order, on the CPU, in the smaller integers that hold their bits."""
    sizes = tokenizer.settings
    dtype = torch.int32 if sizes.bits <= 31 else torch.int64
    tokens = torch.empty(len(images), sizes.num_tokens, dtype=dtype)
    for chunk in tqdm(torch.arange(len(images)).split(batch_size), desc="encode", unit="batch"):
        batch = images.batch(chunk)
        tokens[chunk] = tokenizer.encode(batch.flip(-1) if flip else batch).to(dtype).cpu()
    return tokens
