"""What the settings, or the launcher, ask for is done to the network and to its average; what is missing is told."""

import re

import pytest
import torch
from torch.torch_version import TorchVersion

from _support.mutants import catches
from _support.sharded_network import Book, Network, Processes
from vistok.workbench.config import ConfigError
from vistok.workbench.training import switches
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.switches import apply_switches, check_switches
from vistok.workbench.training.weight_average import weight_average

SUBJECT = "vistok.workbench.training.switches"


def settings(**changes):
    return TrainConfig(steps=1, batch_size=1, **changes)


@catches(SUBJECT, "shard(average.module, ", "shard(network, ")
@catches(SUBJECT, 'settings.sharding == "full" or launched_sharded()', 'settings.sharding == "full"')
@catches(SUBJECT, "    if settings.checkpoint_activations:\n", "    if settings.compile:\n")
def test_each_switch_is_applied_to_what_it_is_for(monkeypatch):
    done = []
    monkeypatch.setattr(switches, "shard", lambda network, processes, replicated: done.append((network, replicated)))
    monkeypatch.setattr(switches, "checkpoint_activations", lambda network: done.append("recomputed"))
    monkeypatch.setattr(switches, "compile_blocks", lambda network: done.append("compiled"))
    network = Network()
    average = weight_average(network, 0.5)
    apply_switches(network, average, settings(), Processes())
    assert done == []
    apply_switches(network, average, settings(sharding="full"), Processes(), replicated=Book)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    apply_switches(network, average, settings(), Processes(), replicated=Book)
    assert done == [(network, Book), (average.module, Book)] * 2
    done.clear()
    monkeypatch.delenv("ACCELERATE_USE_FSDP")
    apply_switches(network, None, settings(checkpoint_activations=True), Processes())
    apply_switches(network, None, settings(compile=True), Processes())
    assert done == ["recomputed", "compiled"]


@catches(SUBJECT, "    check_trackers(settings.track)\n", "")
@catches(SUBJECT, "    if settings.compile and not", "    if not")
@catches(SUBJECT, "settings.async_checkpoints and not _sharded(settings)", "settings.async_checkpoints")
@catches(SUBJECT, "    check_launcher()\n", "")
def test_what_a_switch_needs_is_told_before_anything_runs(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    check_switches(settings())
    with pytest.raises(ConfigError, match="compile: expected a C\\+\\+ compiler, found no no-such-compiler"):
        check_switches(settings(compile=True))
    check_switches(settings(async_checkpoints=True, sharding="full"))
    with pytest.raises(ConfigError, match="async_checkpoints: expected sharding=full, whose checkpoints they are"):
        check_switches(settings(async_checkpoints=True))
    with monkeypatch.context() as launched:
        launched.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
        with pytest.raises(ConfigError, match=r"expected mixed_precision no, .* got fp16\Z"):
            check_switches(settings())
    monkeypatch.setattr("vistok.workbench.run.trackers.get_available_trackers", list)
    with pytest.raises(ConfigError, match="track: trackio is not installed"):
        check_switches(settings(track=("trackio",)))


@catches(SUBJECT, '_sharded(settings) and torch.__version__ < "2.7"', "False")
@catches(SUBJECT, '_sharded(settings) and torch.__version__ < "2.7"', 'torch.__version__ < "2.7"')
@catches(SUBJECT, 'torch.__version__ < "2.7"', 'torch.__version__ < "2.14"')
def test_an_older_torch_trains_and_does_not_shard(monkeypatch):
    for version in ("2.5.1", "2.6.0+cu124"):
        monkeypatch.setattr(torch, "__version__", TorchVersion(version))
        check_switches(settings())
        with pytest.raises(ConfigError, match=rf"\Asharding: expected torch 2\.7 or newer, got {re.escape(version)}\Z"):
            check_switches(settings(sharding="full"))
    for version in ("2.7.0", "2.13.0+cpu"):
        monkeypatch.setattr(torch, "__version__", TorchVersion(version))
        check_switches(settings(sharding="full"))


@catches("vistok.workbench.training.loop", '        "track",\n', "")
def test_records_leave_out_how_a_training_is_computed_and_files_do_not():
    switches = {"sharding", "async_checkpoints", "compile", "checkpoint_activations", "profile", "track"}
    assert set(settings().model_dump()) - set(settings(track=("wandb",)).recorded()) == switches
