"""Make the tokens of images, each decoded once for all its variants, and cache them: processes share the shards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vistok.metrics import from_uint8
from vistok.workbench.data.batches import Draw, load_batches
from vistok.workbench.data.image_set import Images, at_a_time
from vistok.workbench.progress import progress
from vistok.workbench.run.files import sha256
from vistok.workbench.run.processes import divided, meet_processes, process_count, process_index
from vistok.workbench.run.tensor_files import MADE_OF, is_made_of
from vistok.workbench.tokens.shards import (
    TokenShards,
    about,
    map_shards,
    shard_files,
    shard_metadata,
    token_dtype,
    write_shard,
)
from vistok.workbench.tokens.variants import UNFLIPPED, Variants

SHARD_SIZE = 2000  # a multiple of any number of images at a time: batches do not depend on it


@dataclass(frozen=True)
class Coder:
    """What makes tokens.

    Args:
        encode: From images ``(B, C, H, W)`` to the indices ``(B, ...)`` of each kind of token, by its name.
        sizes: How many codes each kind has.
        made_by: Tells one coder from another, such as the checksum of its weights.
    """

    encode: Callable[[Tensor], Mapping[str, Tensor]]
    sizes: Mapping[str, int]
    made_by: str = ""

    @torch.no_grad()
    def tokens(self, images: Tensor, variants: Variants) -> dict[str, Tensor]:
        """Tokens ``(B, V, ...)`` of all variants of a batch, on the CPU, int32 where that holds them, else int64.

        Raises:
            ValueError: There are more codes than ``sizes`` says.
        """
        views = [self.encode(view(images)) for view in variants.values()]
        tokens = {name: torch.stack([view[name].cpu() for view in views], dim=1) for name in self.sizes}
        for name, size in self.sizes.items():
            if tokens[name].numel() and not 0 <= int(tokens[name].min()) <= int(tokens[name].max()) < size:
                raise ValueError(f"{name}: expected tokens of 0 to {size - 1}, got up to {int(tokens[name].max())}")
        small = {name: torch.int32 if size <= 2**31 else torch.int64 for name, size in self.sizes.items()}
        return {name: each.to(small[name]) for name, each in tokens.items()}


def tokenizer_checksum(folder: Path) -> str:
    """What tells the tokens of a tokenizer from those of another: the checksum of the weights that a folder holds."""
    return sha256(folder / "model.safetensors")


def encode_images(coder: Coder, images: Images, *, batch_size: int | None = None) -> dict[str, Tensor]:
    """Tokens ``(N, ...)`` of a whole image set, in order, on every process; each encodes a part of the batches."""
    chunks = torch.arange(len(images)).split(batch_size or at_a_time(images.image_size))
    parts = divided(chunks, lambda chunk: coder.tokens(images.batch(chunk), UNFLIPPED))
    found = list(progress(parts, "encode", unit="batches", total=len(chunks), shown=process_index() == 0, brief=True))
    return {name: torch.cat([part[name] for part in found]).squeeze(1) for name in coder.sizes}


class ShardWriter:
    """Writes the shards of a cache, any of them at any time: their bytes depend on nothing else.

    Args:
        folder: The cache's.
        coder: What makes the tokens.
        images: What they are of.
        variants: What is encoded of each image.
        shard_size: Images of a shard.
        batch_size: Images that are encoded at a time; by default :func:`vistok.workbench.data.image_set.at_a_time`.
    """

    def __init__(
        self,
        folder: Path,
        coder: Coder,
        images: Images,
        variants: Variants,
        *,
        shard_size: int = SHARD_SIZE,
        batch_size: int | None = None,
    ) -> None:
        self.folder, self.coder, self.images, self.variants = folder, coder, images, variants
        self.batch_size = batch_size or at_a_time(images.image_size)
        self.about: dict[str, Any] = about(len(images), shard_size, list(variants), coder.sizes, coder.made_by)
        self.files = shard_files(folder, self.about)

    def is_written(self, number: int) -> bool:
        """Whether a shard is there, whole, and made of the same things."""
        return is_made_of(self.files[number], shard_metadata(self.about, number)[MADE_OF])

    def batches(self, numbers: Sequence[int]) -> Iterator[Tensor]:
        """The images of shards, in order, a batch at a time; what memory cannot hold is decoded ahead."""
        chunks = (chunk for number in numbers for chunk in self._indices(number).split(self.batch_size))
        plan = (Draw(chunk, torch.zeros(len(chunk), dtype=torch.bool)) for chunk in chunks)
        return (from_uint8(pixels) for _, pixels in load_batches(self.images, plan))

    def write(self, number: int, batches: Iterator[Tensor]) -> None:
        """Encode the images of a shard, which come next from ``batches``, and write it."""
        indices = self._indices(number)
        shard: dict[str, Tensor] = {}
        for places in torch.arange(len(indices)).split(self.batch_size):
            for name, tokens in self.coder.tokens(next(batches), self.variants).items():
                if name not in shard:
                    dtype = token_dtype(self.coder.sizes[name])
                    shard[name] = torch.empty((len(indices), *tokens.shape[1:]), dtype=dtype)
                shard[name][places[0] : places[-1] + 1] = tokens.to(shard[name].dtype)
        write_shard(self.files[number], shard, self.images.labels[indices], shard_metadata(self.about, number))

    def _indices(self, number: int) -> Tensor:
        first = number * self.about["shard_size"]
        return torch.arange(first, min(first + self.about["shard_size"], len(self.images)))


def write_shards(writer: ShardWriter, *, resume: bool) -> TokenShards | None:
    """Write all shards of a cache, each process its part; the caller adds what belongs to them and the index.

    Args:
        writer: Writes one.
        resume: Keep the shards that are whole and made of the same things.

    Returns:
        What is written; ``None`` on all processes but the first.
    """
    if process_index() == 0:
        for file in set(writer.folder.glob("*")) - set(writer.files):
            file.unlink()  # the index among them
    meet_processes()
    own = range(len(writer.files))[process_index() :: process_count()]
    missing = [number for number in own if not (resume and writer.is_written(number))]
    batches = writer.batches(missing)
    done = len(own) - len(missing)
    first = process_index() == 0
    for number in progress(missing, "encode", unit="shards", total=len(own), initial=done, shown=first):
        writer.write(number, batches)
    meet_processes()
    return map_shards(writer.folder, writer.about) if process_index() == 0 else None
