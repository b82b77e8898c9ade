"""One pass over many images: divided among processes, kept as it goes, and joined at its end."""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from vistok.metrics.ranks import merged_over_ranks, own_rank
from vistok.metrics.streaming import StreamingMetric

logger = logging.getLogger(__name__)

#: Seconds between two times that a pass is kept.
KEEP_EVERY = 30.0
_LONG = 3.0  # seconds after which a pass shows its progress

Streams = Mapping[str, StreamingMetric]


def streamed_pass(
    count: int,
    step: Callable[[Sequence[int]], None],
    streams: Streams,
    *,
    batch_size: int,
    folder: Path | None = None,
    choices: Mapping[str, Any] | None = None,
    description: str = "evaluate",
) -> float:
    """Let ``step`` take every image into ``streams``; afterwards, on every process, they have seen all of them.

    Batches are the same whatever the number of processes, and go to these in turn. With a folder, each process keeps
    its streams there every half minute, and a pass that was killed goes on where it was kept, until
    :func:`forget_pass`: what follows the pass may take long, too.

    Args:
        count: How many images there are.
        step: Takes the images of the indices that it is given into the streams.
        streams: What is measured, by name.
        batch_size: Images at a time.
        folder: Where an unfinished pass is kept.
        choices: All that its numbers depend on: a pass goes on only with what was kept under equal choices.
        description: Of the progress bar, which shows on a pass of more than a few seconds.

    Returns:
        Seconds that went into this pass before this process began: 0 unless it goes on.

    Raises:
        ValueError: ``batch_size`` is below 1, or what is kept in the folder was measured under other choices; they are
            named.
        TypeError: With a folder, a choice is nothing that JSON holds (a number of NumPy's, say).

    Example:
        >>> from vistok.metrics import MeanSquaredError
        >>> error, images = MeanSquaredError(), torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1)
        >>> step = lambda indices: error.update(images[list(indices)], torch.zeros_like(images[list(indices)]))
        >>> streamed_pass(5, step, {"error": error}, batch_size=2)
        0.0
        >>> error.compute()
        6.0
    """
    from tqdm import tqdm

    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    rank, world = own_rank()
    choices = {**(choices or {}), "batch size": batch_size}
    if folder is not None:
        _check_written(choices)
    own = list(range(0, count, batch_size))[rank::world]
    kept = None if folder is None else folder / f"unfinished-{rank}-of-{world}.pt"
    done, earlier = (0, 0.0) if kept is None else _resumed(kept, streams, choices)
    began = last = time.monotonic()
    options: dict[str, Any] = {"desc": description, "unit": "batch", "delay": _LONG, "leave": False}
    options["disable"] = rank > 0 or not _shows_bars()
    for number, start in enumerate(tqdm(own[done:], initial=done, total=len(own), **options), start=done + 1):
        step(range(start, min(start + batch_size, count)))
        if kept is not None and time.monotonic() - last >= KEEP_EVERY:
            last = time.monotonic()
            _keep(kept, streams, {"done": number, "seconds": earlier + last - began, "choices": dict(choices)})
    for stream in streams.values():
        stream.load_state_dict(merged_over_ranks(stream).state_dict())
    return earlier


def _check_written(choices: Mapping[str, Any]) -> None:
    """Raise ``TypeError`` where a choice cannot be written down: before a pass, whose results would be lost."""
    for name, value in choices.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            got = f"{value!r} of {type(value).__module__}.{type(value).__qualname__}"
            raise TypeError(f"{name}: expected what JSON holds, such as str, int or float, got {got}") from error


def forget_pass(folder: Path) -> None:
    """Remove what is kept of a pass in a folder, by whichever number of processes."""
    for suffix in (".pt", ".tmp"):  # the latter is left by a kill while it was written
        for kept in folder.glob(f"unfinished-*-of-*{suffix}"):
            kept.unlink(missing_ok=True)


def _shows_bars() -> bool:
    """Whether a bar may be drawn: not where the program logs errors alone, nor into a log that takes lines."""
    if not logger.isEnabledFor(logging.WARNING):
        return False
    return sys.stderr.isatty() or not logger.isEnabledFor(logging.INFO)


def _keep(path: Path, streams: Streams, told: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    state = {name: stream.state_dict() for name, stream in streams.items()}
    try:
        with aside.open("wb") as file:
            torch.save({**told, "streams": state}, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _resumed(path: Path, streams: Streams, choices: Mapping[str, Any]) -> tuple[int, float]:
    """How many batches the streams have seen, once they hold what was kept, and the seconds that this took."""
    if not path.is_file():
        return 0, 0.0
    try:
        kept = torch.load(path, weights_only=True)
        before, states = kept["choices"], kept["streams"]
    except Exception as error:
        raise ValueError(f"{path}: damaged; remove it to begin anew") from error
    different = sorted(name for name in {*before, *choices} if before.get(name) != choices.get(name))
    if different or set(states) != set(streams):
        what = ", ".join(f"{name} {before.get(name)!r} (now {choices.get(name)!r})" for name in different) or "measures"
        raise ValueError(f"{path}: an unfinished evaluation with other choices: {what}; remove it to begin anew")
    for name, stream in streams.items():
        stream.load_state_dict(states[name])
    return int(kept["done"]), float(kept["seconds"])
