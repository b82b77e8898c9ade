"""What the settings, or the launcher, ask for is done to the network and to its average; what is missing is told."""

import pytest

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
@catches(SUBJECT, 'settings.async_checkpoints and settings.sharding == "none"', "settings.async_checkpoints")
def test_what_a_switch_needs_is_told_before_anything_runs(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    check_switches(settings())
    with pytest.raises(ConfigError, match="compile: expected a C\\+\\+ compiler, found no no-such-compiler"):
        check_switches(settings(compile=True))
    check_switches(settings(async_checkpoints=True, sharding="full"))
    with pytest.raises(ConfigError, match="async_checkpoints: expected sharding=full, whose checkpoints they are"):
        check_switches(settings(async_checkpoints=True))
    monkeypatch.setattr("vistok.workbench.run.trackers.get_available_trackers", list)
    with pytest.raises(ConfigError, match="track: trackio is not installed"):
        check_switches(settings(track=("trackio",)))


@catches("vistok.workbench.training.loop", '        "track",\n', "")
def test_records_leave_out_how_a_training_is_computed_and_files_do_not():
    switches = {"sharding", "async_checkpoints", "compile", "checkpoint_activations", "profile", "track"}
    assert set(settings().model_dump()) - set(settings(track=("wandb",)).recorded()) == switches
