"""A cache of tokens as Parquet, for other trainers, and back: the same files, byte for byte."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from vistok.workbench.run.files import new_folder, written_aside
from vistok.workbench.run.tensor_files import map_tensors
from vistok.workbench.tokens.shards import (
    LABELS,
    read_index,
    shard_files,
    shard_metadata,
    write_index,
    write_shard,
)

_KEY, _BESIDE = b"vistok", "beside"


class Export(NamedTuple):
    """An export of tokens whose files are all there.

    Attributes:
        files: The Parquet files, in order.
        about: What the shards follow from.
        kinds: Type and shape of each kind of token, by its name.
        beside: Names of what lies beside the files.
    """

    files: list[Path]
    about: dict[str, Any]
    kinds: dict[str, Any]
    beside: list[str]


def export_tokens(folder: Path, target: Path) -> None:
    """Write a cache as Parquet, a file a shard and a row for each variant of an image.

    The columns: ``image`` (its place in the data set), ``variant``, ``label`` and, for each kind of token, a list of
    the indices, row by row of the grid. What lies beside the shards (the codes that tokens stand for) is copied, and
    its name is written into the files.

    Args:
        folder: The cache's.
        target: A folder, new or empty; it is written whole or not at all.

    Raises:
        ConfigError: ``target`` holds something, such as an earlier export, whose shards would be taken for these.
        FileNotFoundError: There is no cache.
        DamagedFileError: It is not as its index says.
    """
    with new_folder(target) as aside:
        index = read_index(folder, verify=True)
        files, first = shard_files(folder, index), 0
        mark = json.dumps({**index, _BESIDE: _beside(folder, files)})
        for file in files:
            held = map_tensors(file)
            images = np.arange(first, first + len(held[LABELS]))
            variants = np.array(index["variants"])
            columns: dict[str, Any] = {
                "image": images.repeat(len(variants)),
                "variant": np.tile(variants, len(images)),
                "label": held[LABELS].repeat(len(variants)),
            }
            for name in index["sizes"]:
                rows = held[name].reshape(len(images) * len(variants), -1)
                columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1])
            table = pa.table(columns).replace_schema_metadata({_KEY: mark})
            with written_aside(aside / f"{file.stem}.parquet") as out:
                pq.write_table(table, out)
            first += len(images)
        for name in _beside(folder, files):
            shutil.copyfile(folder / name, aside / name)


def open_export(source: Path, *, made_by: str) -> Export:
    """Look at what :func:`export_tokens` wrote; tokens are not read.

    Args:
        source: The folder of Parquet files.
        made_by: What must have made the tokens.

    Raises:
        ValueError: There is no such export or a part of it is missing, or it is of something else.
    """
    files = sorted(source.glob("*.parquet"))
    about = json.loads((pq.read_schema(files[0]).metadata or {}).get(_KEY, b"null")) if files else None
    if about is None:
        raise ValueError(f"{source}: expected Parquet files of an export of tokens, got {len(files)} without its mark")
    kinds, beside = about.pop("tokens"), about.pop(_BESIDE, None)
    del about["shards"]
    wanted = [file.stem for file in shard_files(source, about)]
    if [file.stem for file in files] != wanted:
        raise ValueError(f"{source}: expected {len(wanted)} files from 00000.parquet on, got {len(files)}")
    if about["made_by"] != made_by:
        raise ValueError(f"{source}: tokens of another tokenizer than this run's")
    beside = _beside(source, []) if beside is None else [Path(name).name for name in beside]  # None: of before
    for name in beside:
        if not (source / name).is_file():
            raise ValueError(f"{source}: expected {name} beside the Parquet files, got none")
    return Export(files, about, kinds, beside)


def import_tokens(source: Path, folder: Path, *, made_by: str, num_classes: int | None = None) -> None:
    """Read what :func:`export_tokens` wrote into a cache; what else lies there stays there.

    Args:
        source: The folder of Parquet files.
        folder: The cache's; what is in it is replaced, once all is read.
        made_by: What must have made the tokens.
        num_classes: How many classes labels tell apart, where that is known.

    Raises:
        ValueError: As :func:`open_export`; its rows are in another order, or a token or label is none.
    """
    files, about, kinds, beside = open_export(source, made_by=made_by)
    with new_folder(folder, replaces=True) as aside:
        for number, (file, path) in enumerate(zip(files, shard_files(aside, about), strict=True)):
            first = number * about["shard_size"]
            images = np.arange(first, min(first + about["shard_size"], about["images"]))
            tokens, labels = _read_shard(file, images, about, kinds, num_classes)
            write_shard(path, tokens, labels, shard_metadata(about, number))
        for name in beside:
            shutil.copyfile(source / name, aside / name)
        write_index(aside, about)


def _beside(folder: Path, shards: list[Path]) -> list[str]:
    """The names of what lies beside the shards of a cache."""
    return [path.name for path in sorted(folder.glob("*.safetensors")) if path not in shards]


def _read_shard(
    file: Path, images: np.ndarray, about: dict[str, Any], kinds: dict[str, Any], num_classes: int | None
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The tokens and labels of a file that must hold these images."""
    table, variants = pq.read_table(file), about["variants"]
    rows = table["image"].to_numpy(), table["variant"].to_pylist()
    if not np.array_equal(rows[0], images.repeat(len(variants))) or rows[1] != variants * len(images):
        raise ValueError(f"{file}: expected images {images[0]} to {images[-1]} in order, each with all its variants")
    tokens = {}
    for name, kind in kinds.items():
        indices = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        indices = indices.reshape(len(images), len(variants), *kind["shape"])
        _check_range(file, name, indices, about["sizes"][name])
        tokens[name] = torch.from_numpy(indices.astype(kind["dtype"]))
    labels = table["label"].to_numpy()[:: len(variants)]
    _check_range(file, "label", labels, num_classes)
    return tokens, torch.from_numpy(labels.astype(np.int64))


def _check_range(file: Path, column: str, values: np.ndarray, count: int | None) -> None:
    last = (np.iinfo(np.int64).max if count is None else count) - 1
    wrong = values[~((values >= 0) & (values <= last) & (values % 1 == 0))]  # what is no number among them
    if len(wrong):
        expected = "at least 0" if count is None else f"0 to {last}"
        raise ValueError(f"{file}: {column}: expected {expected}, got {wrong[0]}")
