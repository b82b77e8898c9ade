"""A cache of tokens: files of some thousand images each, listed in an index and mapped into memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vistok.workbench.run.files import DamagedFileError, read_json, sha256, write_atomically
from vistok.workbench.run.tensor_files import MADE_OF, map_tensors, save_tensors

INDEX = "index.json"
LABELS = "labels"
_ABOUT = ("images", "shard_size", "variants", "sizes", "made_by")


@dataclass(frozen=True)
class TokenShards:
    """The tokens of a data set, any number of variants an image.

    Opening reads the labels alone; of tokens, what is picked.

    Args:
        arrays: The tokens of each kind by its name, a shard at a time: ``(n, V, ...)`` integers.
        labels: ``(N,)`` int64.
        variants: Names of the ``V`` variants of each image, such as unflipped and flipped.
        shard_size: Images of every shard but the last.

    Example:
        >>> shards = TokenShards({"ids": [np.array([[[1, 2]], [[3, 4]]])]}, torch.tensor([0, 1]), ("unflipped",), 2)
        >>> shards.pick("ids", torch.tensor([1, 0, 1])).tolist()
        [[3, 4], [1, 2], [3, 4]]
    """

    arrays: Mapping[str, Sequence[np.ndarray]]
    labels: Tensor
    variants: tuple[str, ...]
    shard_size: int

    def __len__(self) -> int:
        return self.labels.shape[0]

    def pick(self, name: str, indices: Tensor, variants: Tensor | None = None) -> Tensor:
        """The tokens of one kind of some images ``(n, ...)``, int64; the first variant of each if none is said."""
        arrays, places = self.arrays[name], indices.tolist()
        chosen = [0] * len(places) if variants is None else variants.tolist()
        picked = np.empty((len(places), *arrays[0].shape[2:]), dtype=np.int64)
        for row, (place, variant) in enumerate(zip(places, chosen, strict=True)):
            shard, within = divmod(place, self.shard_size)
            picked[row] = arrays[shard][within, variant]
        return torch.from_numpy(picked)

    def draw_variants(self, count: int, draws: torch.Generator) -> Tensor:
        """A variant for each of so many images, all equally likely: of two, the second where the draw is below 1/2."""
        numbers = torch.rand(count, generator=draws).double()
        return len(self.variants) - 1 - (numbers * len(self.variants)).long()

    def counts(self, name: str, size: int) -> Tensor:
        """How often each of so many codes occurs, over all images and variants: ``(size,)`` int64."""
        return torch.from_numpy(sum(np.bincount(array.reshape(-1), minlength=size) for array in self.arrays[name]))


def token_dtype(size: int) -> torch.dtype:
    """The smallest of uint16, int32 and int64 that holds the indices of so many codes.

    Example:
        >>> token_dtype(65536), token_dtype(65537)
        (torch.uint16, torch.int32)
    """
    return torch.uint16 if size <= 2**16 else torch.int32 if size <= 2**31 else torch.int64


def about(
    images: int, shard_size: int, variants: Sequence[str], sizes: Mapping[str, int], made_by: str
) -> dict[str, Any]:
    """What all shards of a cache follow from.

    Args:
        images: How many there are.
        shard_size: Images of a shard.
        variants: Of each image, by name.
        sizes: How many codes there are for each kind of token.
        made_by: What made the tokens, such as the checksum of a tokenizer's weights.
    """
    return dict(zip(_ABOUT, (images, shard_size, list(variants), dict(sizes), made_by), strict=True))


def shard_files(folder: Path, what: Mapping[str, Any]) -> list[Path]:
    """The files of all shards, in order."""
    return [folder / f"{number:05d}.safetensors" for number in range(-(-what["images"] // what["shard_size"]))]


def shard_metadata(what: Mapping[str, Any], number: int) -> dict[str, str]:
    """What a shard says of itself."""
    return {MADE_OF: json.dumps({**what, "shard": number})}


def write_shard(path: Path, tokens: Mapping[str, Tensor], labels: Tensor, metadata: Mapping[str, str]) -> None:
    """Write one shard, atomically."""
    save_tensors(path, {**tokens, LABELS: labels}, metadata)


def write_index(folder: Path, what: Mapping[str, Any]) -> None:
    """List all shards, once they are there: a folder with an index is a whole cache."""
    files = shard_files(folder, what)
    first = map_tensors(files[0])
    listed = [
        {
            "file": file.name,
            "images": len(map_tensors(file)[LABELS]),
            "bytes": file.stat().st_size,
            "sha256": sha256(file),
        }
        for file in files
    ]
    kinds = {name: {"dtype": str(first[name].dtype), "shape": list(first[name].shape[2:])} for name in what["sizes"]}
    write_atomically(folder / INDEX, json.dumps({**what, "tokens": kinds, "shards": listed}, indent=2) + "\n")


def is_cached(folder: Path) -> bool:
    """Whether a folder holds a whole cache."""
    return (folder / INDEX).is_file()


def map_shards(folder: Path, what: Mapping[str, Any]) -> TokenShards:
    """Map the shards of a cache, listed or not yet.

    Raises:
        FileNotFoundError: One is not there.
        DamagedFileError: One is not as long as it says, or lacks a kind of tokens.
    """
    maps = []
    for file in shard_files(folder, what):
        maps.append(map_tensors(file))
        missing = {*what["sizes"], LABELS} - maps[-1].keys()
        if missing:
            raise DamagedFileError(f"{file}: has no {', '.join(sorted(missing))}")
    arrays = {name: [held[name] for held in maps] for name in what["sizes"]}
    labels = torch.from_numpy(np.concatenate([held[LABELS] for held in maps]))
    return TokenShards(arrays, labels, tuple(what["variants"]), what["shard_size"])


def read_index(folder: Path, *, verify: bool = False) -> dict[str, Any]:
    """The index of a cache; its shards are there and as long as it says.

    Args:
        folder: The cache's.
        verify: Also compare every shard with its checksum, which reads all of it.

    Raises:
        FileNotFoundError: There is no cache, or one of its shards is gone.
        DamagedFileError: The index or a shard is damaged.
    """
    index = read_json(folder / INDEX, *_ABOUT, "shards")
    for entry in index["shards"]:
        file = folder / entry["file"]
        if file.stat().st_size != entry["bytes"] or (verify and sha256(file) != entry["sha256"]):
            raise DamagedFileError(f"{file}: damaged, not as {INDEX} lists it")
    return index


def open_tokens(folder: Path) -> TokenShards:
    """Open a cache. What it costs does not grow with its tokens. Raises as :func:`read_index` does."""
    return map_shards(folder, read_index(folder))
