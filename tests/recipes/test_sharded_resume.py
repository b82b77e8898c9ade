"""A training that two processes share is killed; one and four go on from its checkpoint with all that it held."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from _support.recipe_processes import launched
from vistok.workbench.run.checkpoint import list_checkpoints, load_checkpoint
from vistok.workbench.run.nested_state import mapped
from vistok.workbench.run.tracking import read_metrics

TINY = Path(__file__).parents[1] / "_support" / "tiny_vqgan.yaml"
LINE = ("-m", "vqgan", "train-tokenizer", "--config", TINY, "--set", "train.ema_decay=0.5")

# Loads what there is to resume, writes it again, whole, and does no step.
LOADS = """
import sys
from pathlib import Path
import torch
from vistok.workbench.run.nested_state import mapped
from vistok.workbench.training.sharding import whole
from vistok.workbench.training.state import TrainState
from vqgan.cli import COMMANDS, Options
resume = TrainState.resume
def keep(self):
    step = resume(self)
    state = {name: item.state_dict() for name, item in self.objects.items()}
    state = mapped(state, lambda place, tensor: whole(tensor).clone())
    if self.writes:
        torch.save({"step": step, **state}, sys.argv[3])
    return step
TrainState.resume = keep
COMMANDS["train-tokenizer"](Options(config=sys.argv[1], runs=Path(sys.argv[2]), resume=True,
                                    set=("train.ema_decay=0.5", "train.sharding=full")))
"""

# The fourth step's checkpoint is half written, and no more comes, when the processes are killed after the fifth.
SLOW = """
import os, runpy, signal, sys, time
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from vistok.workbench.training.state import TrainState
write, after_step = FileSystemWriter.write_data, TrainState.after_step
def slow(self, *arguments):
    written = write(self, *arguments)
    time.sleep(600 if "step-000000004" in str(self.path) else 0)
    return written
def until_the_fifth(self, step, *arguments, **options):
    after_step(self, step, *arguments, **options)
    if step == 5:
        time.sleep(2)
        os.kill(os.getpid(), signal.SIGKILL)
FileSystemWriter.write_data, TrainState.after_step = slow, until_the_fifth
runpy.run_module("vqgan", run_name="__main__")
"""


def leaves(state):
    found = {}
    mapped(state, found.__setitem__)
    return found


@pytest.mark.slow
def test_one_and_four_processes_resume_what_two_saved_to_the_last_bit_and_go_on(tmp_path):
    stopped = ("--set", "train.checkpoint_every=3", "--set", "train.sharding=full", "--runs", tmp_path / "two")
    done = launched(2, *LINE, *stopped, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    checkpoints = tmp_path / "two" / "tiny" / "checkpoints" / "tokenizer"
    assert [path.name for path in list_checkpoints(checkpoints)] == ["step-000000003", "step-000000006"]
    saved = leaves(load_checkpoint(checkpoints / "step-000000003"))
    script = tmp_path / "loads.py"
    script.write_text(LOADS.replace('"train.sharding=full"', '"train.sharding=full", "train.checkpoint_every=3"'))
    for count in (1, 4):
        runs, kept = tmp_path / str(count), tmp_path / f"{count}.pt"
        shutil.copytree(tmp_path / "two", runs)
        folder = runs / "tiny"
        shutil.rmtree(folder / "checkpoints" / "tokenizer" / "step-000000006")
        os.unlink(folder / "tokenizer" / "model.safetensors")
        done = launched(count, script, TINY, runs, kept, timeout=280)
        assert done.returncode == 0, done.stderr[-3000:]
        loaded = torch.load(kept, weights_only=True)
        assert loaded.pop("step") == 3
        found = leaves(loaded)
        assert found.keys() == saved.keys()
        assert all(torch.equal(found[place], tensor) for place, tensor in saved.items())
        ours, theirs = (read_metrics(each / "metrics.jsonl") for each in (folder, tmp_path / "two" / "tiny"))
        assert [line["step"] for line in ours] == [1, 2, 3, 4, 5, 6]
        for line, expected in zip(ours, theirs, strict=True):  # the batches are the same, whoever shares them
            assert line["reconstruction"] == pytest.approx(expected["reconstruction"], rel=1e-3)


@pytest.mark.slow
def test_written_beside_the_training_they_hold_the_same_and_a_kill_in_the_middle_leaves_the_one_before(tmp_path):
    options = ("--set", "train.checkpoint_every=2", "--set", "train.sharding=full")
    beside = (*options, "--set", "train.async_checkpoints=true")
    for name, settings in (("at once", options), ("beside", beside)):
        done = launched(2, *LINE, *settings, "--runs", tmp_path / name, timeout=280)
        assert done.returncode == 0, done.stderr[-3000:]
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    done = launched(2, script, *LINE[2:], *beside, "--runs", tmp_path / "killed", timeout=280)
    assert done.returncode != 0
    checkpoints = {name: tmp_path / name / "tiny/checkpoints/tokenizer" for name in ("at once", "beside", "killed")}
    assert [path.name for path in list_checkpoints(checkpoints["killed"])] == ["step-000000002"]
    assert (checkpoints["killed"] / ".step-000000004.partial" / "__0_0.distcp").stat().st_size > 0
    done = launched(2, *LINE, *beside, "--runs", tmp_path / "killed", "--resume", timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "from step 2" in done.stdout + done.stderr
    for step in (4, 6):
        expected, *others = (leaves(load_checkpoint(each / f"step-00000000{step}")) for each in checkpoints.values())
        for found in others:
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[place], tensor) for place, tensor in expected.items())
    assert not list(checkpoints["killed"].glob(".*"))
