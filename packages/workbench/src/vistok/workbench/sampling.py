"""Draw images of every class from a trained generator into a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from vistok.workbench.data.pixels import to_uint8
from vistok.workbench.tensor_files import load_tensors, save_tensors


def write_samples(
    path: Path,
    generate: Callable[[Tensor, torch.Generator], Tensor],
    num_samples: int,
    num_classes: int,
    *,
    batch_size: int,
    seed: int,
    name: str = "",
) -> None:
    """Write images and their labels, the classes in turn.

    Each batch has draws of its own, so that the first ones stay the same when more images are asked for.

    Args:
        path: The file, see :func:`load_samples`.
        generate: From labels ``(b,)`` (on the CPU) and the batch's draws to images ``(b, C, H, W)`` in ``[-1, 1]``.
        num_samples: How many images.
        num_classes: Labels are 0 to this, exclusive.
        batch_size: Images at a time.
        seed: Decides the draws, with the batch's number.
        name: Of the generator, for the progress bar.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "samples.safetensors"
        >>> write_samples(path, lambda labels, draws: torch.zeros(len(labels), 1, 4, 4), 5, 3, batch_size=2, seed=0)
        >>> load_samples(path)["labels"].tolist()
        [0, 1, 2, 0, 1]
    """
    labels = torch.arange(num_samples) % num_classes
    images = []
    for index, chunk in enumerate(tqdm(labels.split(batch_size), desc=f"sample {name}".rstrip(), unit="batch")):
        draws = torch.Generator().manual_seed(seed * 1_000_003 + index)
        images.append(to_uint8(generate(chunk, draws)).cpu())
    save_tensors(path, {"images": torch.cat(images), "labels": labels})


def load_samples(path: Path) -> dict[str, Tensor]:
    """What :func:`write_samples` wrote: ``images (N, C, H, W)`` uint8 and ``labels (N,)`` int64."""
    return load_tensors(path, "images", "labels")
