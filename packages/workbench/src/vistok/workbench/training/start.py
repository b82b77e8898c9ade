"""Where a training begins: with another one's checkpoint, or with the weights of a saved network."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vistok.workbench.config import ConfigError
from vistok.workbench.run.checkpoint import is_checkpoint, list_checkpoints
from vistok.workbench.training.sharded_state import load_whole
from vistok.workbench.training.state import TrainState

logger = logging.getLogger(__name__)


def begins_anew(checkpoints: Path, *, resume: bool, init_from: str | None) -> bool:
    """Whether a training begins with nothing: neither with a checkpoint of its own, resumed, nor with other weights."""
    return not (resume and list_checkpoints(checkpoints)) and not init_from


def start_from(
    source: Path,
    model: Any,
    state: TrainState,
    *,
    parts: Sequence[str] = ("",),
    read: Callable[[Path], Any] | None = None,
) -> None:
    """Begin with a training's checkpoint and all that it holds, or with the weights of a saved network alone.

    Args:
        source: A checkpoint, a folder of them, or what ``save_pretrained`` wrote for a network of the model's class.
        model: The network that is trained; its ``settings`` say how it is built.
        state: What takes a checkpoint's contents (:meth:`TrainState.start_from`).
        parts: Names of the submodules that begin with saved weights; by default the whole model.
        read: Opens a saved network whose ``from_pretrained`` wants more than a folder; by default the model's own does.

    Raises:
        ConfigError: ``source`` is none of these, or of another architecture; the message lists what differs.
    """
    if is_checkpoint(source) or source.suffix == ".pt" or list_checkpoints(source):
        state.start_from(source)
        return
    if not (source / "config.json").is_file():
        raise ConfigError(
            f"train.init_from: expected a checkpoint, a folder of them or one of save_pretrained, got {source}"
        )
    saved = (read or type(model).from_pretrained)(source)
    ours, theirs = model.settings.model_dump(), saved.settings.model_dump()
    different = [f"{name} {theirs[name]} (here {ours[name]})" for name in ours if ours[name] != theirs[name]]
    if different:
        raise ConfigError(f"train.init_from: {source} has another architecture: {', '.join(different)}")
    for part in parts:
        load_whole(model.get_submodule(part), saved.get_submodule(part).state_dict())
    logger.info("%s: weights from %s; all else begins anew", ", ".join(filter(None, parts)) or "the network", source)
