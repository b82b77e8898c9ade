"""Draw images of every class from a trained generator into a file; what was interrupted goes on."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vistok.metrics import to_uint8
from vistok.workbench.config import Config
from vistok.workbench.evaluation.drawn_parts import DrawnParts
from vistok.workbench.progress import progress
from vistok.workbench.recipe_config import SampleConfig
from vistok.workbench.run.files import sha256
from vistok.workbench.run.paths import DEFAULT, RunPaths
from vistok.workbench.run.processes import divided, meet_processes, process_index
from vistok.workbench.run.tensor_files import load_tensors, save_tensors

logger = logging.getLogger(__name__)


def sample_label(generator: str, name: str) -> str:
    """What measures and pages call a sample set: the generator's name and, but for the default one, the set's."""
    return generator if name == DEFAULT else f"{generator}, {name}"


def sample_files(generators: Mapping[str, Any], paths: RunPaths) -> dict[str, Path]:
    """The sample sets that a run holds, in the order of its configuration.

    Args:
        generators: The configuration's section: ``samples`` of each generator names its sets.
        paths: The run's.

    Returns:
        Each set's file by its label.
    """
    found = {}
    for generator, settings in generators.items():
        for name in settings.samples:
            if paths.samples(generator, name).exists():
                found[sample_label(generator, name)] = paths.samples(generator, name)
    return found


def spread(count: int, wanted: int) -> Tensor:
    """At most so many indices, evenly over all: data sets are often sorted by class.

    Example:
        >>> spread(100, 3).tolist()
        [0, 49, 99]
    """
    return torch.linspace(0, count - 1, min(wanted, count)).long()


@torch.no_grad()
def draw_batch(generate: Callable[[Tensor, torch.Generator], Tensor], labels: Tensor, seed: int, index: int) -> Tensor:
    """The images of one batch, ``(b, C, H, W)`` uint8 on the CPU, from draws that only the seed and its number decide.

    Args:
        generate: As :func:`write_samples` takes it.
        labels: ``(b,)``.
        seed: Of all batches.
        index: The batch's number.
    """
    draws = torch.Generator().manual_seed(seed * 1_000_003 + index)
    return to_uint8(generate(labels, draws)).cpu()


def drawn_by(config: Config, files: Iterable[Path]) -> str:
    """Tells what draws from all else that could: a checksum of a run's settings and of the files that they open.

    Args:
        config: The run's.
        files: Files and folders.
    """
    whole = hashlib.sha256(json.dumps(config.recorded(), sort_keys=True).encode())
    for each in files:
        for file in sorted(each.rglob("*")) if each.is_dir() else [each]:
            if file.is_file():
                whole.update(sha256(file).encode())
    return whole.hexdigest()


def write_samples(
    path: Path,
    generate: Callable[[Tensor, torch.Generator], Tensor],
    settings: SampleConfig,
    num_classes: int,
    *,
    seed: int,
    name: str = "",
    made_by: str = "",
) -> None:
    """Write images and their labels, the classes in turn; of more classes than images, classes spread over all.

    Each batch has draws of its own, so that full batches stay the same when more images are asked for, and whichever
    of several processes draws them: these divide the batches, and the first one writes. Some batches at a time go to a
    folder beside the file: a drawing that is interrupted goes on behind them, and at the end they become the file.

    Args:
        path: The file, see :func:`load_samples`.
        generate: From labels ``(b,)`` (on the CPU) and the batch's draws to images ``(b, C, H, W)`` in ``[-1, 1]``.
        settings: How many images, and how many at a time.
        num_classes: Labels are 0 to this, exclusive.
        seed: Decides the draws, with the batch's number.
        name: Of the generator, for the progress bar.
        made_by: Tells what draws from all else that could, as :func:`drawn_by` gives it: only its own batches are kept.

    Example:
        >>> import tempfile
        >>> five = SampleConfig(num_samples=5, batch_size=2)
        >>> path = Path(tempfile.mkdtemp()) / "samples.safetensors"
        >>> write_samples(path, lambda labels, draws: torch.zeros(len(labels), 1, 4, 4), five, 3, seed=0)
        >>> load_samples(path)["labels"].tolist()
        [0, 1, 2, 0, 1]
    """
    if settings.num_samples < num_classes:
        logger.warning(
            "sample: %d images show as many of the %d classes; num_samples=%d shows each",
            *(settings.num_samples, num_classes, num_classes),
        )
    shown_classes = spread(num_classes, settings.num_samples)
    labels = shown_classes[torch.arange(settings.num_samples) % len(shown_classes)]
    batches, first = labels.split(settings.batch_size), process_index() == 0
    made_of = json.dumps([made_by, seed, num_classes, settings.model_dump(mode="json")])
    parts = DrawnParts(path.with_name(f"{path.stem}.parts"), len(batches), settings.batch_size, made_of)
    missing = parts.missing()
    meet_processes()  # all have looked before the first one writes
    bar = progress(
        divided(missing, lambda index: draw_batch(generate, batches[index], seed, index)),
        f"sample {name}".rstrip(),
        unit="batches",
        total=len(batches),
        initial=len(batches) - len(missing),
        shown=first,
    )
    for index, images in zip(missing, bar, strict=True):
        if first:
            parts.add(index, images)
    if first:
        save_tensors(path, {"images": parts.joined(len(labels)), "labels": labels})
        parts.remove()


def load_samples(path: Path) -> dict[str, Tensor]:
    """What :func:`write_samples` wrote: ``images (N, C, H, W)`` uint8 and ``labels (N,)`` int64."""
    return load_tensors(path, "images", "labels")
