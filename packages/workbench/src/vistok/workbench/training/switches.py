"""What the switches of a training make of its networks, before their optimizers are built."""

import os
import shutil

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.swa_utils import AveragedModel

from vistok.workbench.config import ConfigError
from vistok.workbench.run.processes import check_launcher, launched_sharded
from vistok.workbench.run.trackers import check_trackers
from vistok.workbench.training.blocks import checkpoint_activations, compile_blocks
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.sharding import shard


def check_switches(settings: TrainConfig) -> None:
    """Check what the switches of a training need, before anything runs.

    Raises:
        ConfigError: A tracker is not installed, there is no compiler, the launcher's configuration is not FSDP2's or
            has settings that are the recipe's, torch is too old to shard, or nothing that is sharded is to be written
            beside the training.
    """
    check_trackers(settings.track)
    check_launcher()
    if _sharded(settings) and torch.__version__ < "2.7":  # whose fully_shard leaves parameters out
        raise ConfigError(f"sharding: expected torch 2.7 or newer, got {torch.__version__}")
    if settings.async_checkpoints and not _sharded(settings):
        raise ConfigError("async_checkpoints: expected sharding=full, whose checkpoints they are, got none")
    named = os.environ.get("CXX")
    if settings.compile and not any(map(shutil.which, [named] if named else ["g++", "clang++"])):
        raise ConfigError(f"compile: expected a C++ compiler, found no {named or 'g++ or clang++'}; set it to false")


def apply_switches(
    network: nn.Module,
    average: AveragedModel | None,
    settings: TrainConfig,
    accelerator: Accelerator,
    *,
    replicated: type[nn.Module] | None = None,
) -> None:
    """Compile, recompute and shard, as the settings (or the launcher's FSDP2 configuration) say, in place.

    Args:
        network: All that one optimizer learns, as it is called in a step; already on its device.
        average: Of its weights or of a part of them; sharded with it.
        settings: ``compile``, ``checkpoint_activations`` and ``sharding``.
        accelerator: Of the training.
        replicated: The class of modules that stay whole, see :func:`shard`.
    """
    if settings.compile:
        compile_blocks(network)
    if settings.checkpoint_activations:
        checkpoint_activations(network)
    if _sharded(settings):
        shard(network, accelerator, replicated=replicated)
        if average is not None:
            shard(average.module, accelerator, replicated=replicated)


def _sharded(settings: TrainConfig) -> bool:
    return settings.sharding == "full" or launched_sharded()
