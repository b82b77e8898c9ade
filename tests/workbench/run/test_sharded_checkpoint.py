"""What two processes wrote together, one and two read, each its part; what is damaged is named."""

import logging
import os
import shutil
import time

import pytest
import torch
import torch.distributed as dist
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from vistok.workbench.run.checkpoint import (
    CheckpointError,
    begin_sharded_checkpoint,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    load_latest_checkpoint,
    save_checkpoint,
    save_sharded_checkpoint,
)
from vistok.workbench.run.processes import group_beside

SUBJECT = "vistok.workbench.run.sharded_checkpoint"
CHECKPOINT = "vistok.workbench.run.checkpoint"
ROWS = torch.arange(15.0).reshape(5, 3)


def divided(rows=ROWS):
    return distribute_tensor(rows, init_device_mesh("cpu", (2,)), [Shard(0)])


def write(rank, folder, steps):
    for step in steps:
        state = {
            "model": {"rows": divided(), "own": torch.tensor(float(rank))},
            "optimizer": [{"lr": 0.1}, ROWS.half()],
        }
        save_sharded_checkpoint(folder, step, state)


def read(rank, folder):
    pattern = divided()
    step, state = load_latest_checkpoint(folder, lambda place, size: pattern if place == ("model", "rows") else None)
    return step, state["model"]["rows"].to_local(), state["optimizer"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    run_on_two_ranks(write, folder, [1, 2, 30])
    return folder


@catches(SUBJECT, "dedup_save_to_lowest_rank=True", "dedup_save_to_lowest_rank=False")
@catches(SUBJECT, "empty.to(tensor.dtype)", "empty")
def test_one_process_reads_all_that_two_wrote_and_the_first_ones_of_what_each_has(tmp_path):
    run_on_two_ranks(write, tmp_path, [3])
    step, state = load_latest_checkpoint(tmp_path)
    assert step == 3
    assert torch.equal(state["model"]["rows"], ROWS)
    assert state["model"]["own"] == 0
    assert state["optimizer"][0] == {"lr": 0.1}
    assert state["optimizer"][1].dtype == torch.float16
    assert torch.equal(state["optimizer"][1], ROWS.half())


def test_two_processes_read_each_its_part(written):
    (step, first, (_, whole)), (_, second, _) = run_on_two_ranks(read, written)
    assert step == 30
    assert torch.equal(torch.cat([first, second]), ROWS)
    assert (len(first), len(second)) == (3, 2)
    assert torch.equal(whole, ROWS.half())


def test_two_are_kept_and_nothing_lies_aside(written):
    assert [path.name for path in list_checkpoints(written)] == ["step-000000002", "step-000000030"]
    assert len(list(written.iterdir())) == 2
    assert sorted(path.name for path in (written / "step-000000030").iterdir()) == [
        ".metadata",
        "__0_0.distcp",
        "__1_0.distcp",
        "checksums.json",
        "structure.pt",
    ]


@pytest.mark.parametrize("name", ["__1_0.distcp", "structure.pt", ".metadata", "checksums.json"])
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_one_is_named_and_the_one_before_it_is_used(written, tmp_path, caplog, name, cut):
    shutil.copytree(written, tmp_path / "copy")
    file = tmp_path / "copy" / "step-000000030" / name
    if cut:
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    with caplog.at_level(logging.WARNING):
        step, state = load_latest_checkpoint(tmp_path / "copy")
    assert step == 2
    assert torch.equal(state["model"]["rows"], ROWS)
    assert "step-000000030 cannot be read" in caplog.text
    assert name in caplog.text


@catches(SUBJECT, "if sha256(folder / name) != sums[name]]", "if not (folder / name).is_file()]")
def test_a_changed_number_is_noticed(written, tmp_path, caplog):
    shutil.copytree(written, tmp_path / "copy")
    file = tmp_path / "copy" / "step-000000030" / "__1_0.distcp"
    data, row = file.read_bytes(), ROWS[4].numpy().tobytes()
    assert data.count(row) == 1
    file.write_bytes(data.replace(row, bytes(len(row))))
    assert load_latest_checkpoint(tmp_path / "copy")[0] == 2
    assert "__1_0.distcp is damaged" in caplog.text


def test_processes_agree_on_what_is_damaged(written, tmp_path):
    """Each checks some of the files, and all pass the checkpoint over."""
    for name in ("__0_0.distcp", "__1_0.distcp"):
        shutil.copytree(written, tmp_path / name)
        (tmp_path / name / "step-000000030" / name).write_bytes(b"")
        assert [step for step, *_ in run_on_two_ranks(read, tmp_path / name)] == [2, 2]


@catches(SUBJECT, "        shutil.rmtree(partial, ignore_errors=True)\n", "")
@catches(
    SUBJECT, "        shutil.rmtree(folder, ignore_errors=True)  # a damaged one, which this run has passed over\n", ""
)
def test_what_a_kill_left_behind_and_a_damaged_one_are_replaced(written, tmp_path):
    shutil.copytree(written, tmp_path / "copy")
    (tmp_path / "copy" / "step-000000030" / "structure.pt").unlink()
    (tmp_path / "copy" / ".step-000000030.partial").mkdir()
    (tmp_path / "copy" / ".step-000000029.partial").mkdir()
    (tmp_path / "copy" / ".step-000000030.partial" / "__7_0.distcp").write_bytes(b"half")
    save_sharded_checkpoint(tmp_path / "copy", 30, {"rows": ROWS})  # one process alone
    assert torch.equal(load_checkpoint(tmp_path / "copy" / "step-000000030")["rows"], ROWS)
    assert sorted(os.listdir(tmp_path / "copy")) == ["step-000000002", "step-000000030"]


@catches(CHECKPOINT, '_remove(path.parent.glob(".step-*.partial"))', "pass")
def test_a_full_disk_is_told_and_leaves_nothing_aside(written, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    shutil.copytree(written, tmp_path / "copy")
    monkeypatch.setattr("vistok.workbench.run.sharded_checkpoint.FileSystemWriter.write_data", full)
    with pytest.raises(CheckpointError, match=r"could not be written .*No space left on device.*are intact"):
        save_sharded_checkpoint(tmp_path / "copy", 31, {"rows": ROWS})
    assert sorted(os.listdir(tmp_path / "copy")) == ["step-000000002", "step-000000030"]


def test_both_kinds_count_by_their_steps(written, tmp_path):
    shutil.copytree(written, tmp_path / "copy")
    save_checkpoint(tmp_path / "copy", 29, {"rows": ROWS})
    assert load_latest_checkpoint(tmp_path / "copy")[0] == 30
    save_checkpoint(tmp_path / "copy", 31, {"rows": ROWS})
    assert load_latest_checkpoint(tmp_path / "copy")[0] == 31
    assert [path.name for path in list_checkpoints(tmp_path / "copy")] == ["step-000000030", "step-000000031.pt"]


def test_what_cannot_be_written_is_told_and_earlier_ones_stay(written, tmp_path):
    (tmp_path / "file").write_bytes(b"where the folder goes")
    with pytest.raises(CheckpointError, match=r"step-000000005: could not be written .*earlier checkpoints are intact"):
        save_sharded_checkpoint(tmp_path / "file", 5, {"rows": ROWS})
    with pytest.raises(CheckpointError, match="step-000000009 cannot be read"):
        load_checkpoint(checkpoint_path(written, 9).with_suffix(""))


def write_beside(rank, folder):
    """Begin a checkpoint whose files take their time, and train meanwhile."""
    write(rank, folder, [1])
    write_data = FileSystemWriter.write_data

    def slow(self, *arguments):
        while not (folder / "go").exists():
            time.sleep(0.01)
        return write_data(self, *arguments)

    state = {"model": {"rows": divided(ROWS.clone()), "own": ROWS.clone()}, "optimizer": [{"lr": 0.1}]}
    FileSystemWriter.write_data = slow
    try:
        writing = begin_sharded_checkpoint(folder, 2, state, group_beside())
        state["model"]["rows"].to_local().zero_()
        state["model"]["own"].zero_()
        state["optimizer"][0]["lr"] = 0.2
        dist.all_reduce(torch.ones(3))
        before = writing.done(), [path.name for path in list_checkpoints(folder)], load_latest_checkpoint(folder)[0]
        dist.barrier()
        (folder / "go").touch()
        writing.result(timeout=30)
    finally:
        FileSystemWriter.write_data = write_data
    return before, [path.name for path in list_checkpoints(folder)], sorted(os.listdir(folder))


def test_one_that_is_written_beside_the_training_holds_what_was_there_when_it_began(tmp_path):
    """Until all is written the one before it counts."""
    names = ["step-000000001", "step-000000002"]
    for before, after, found in run_on_two_ranks(write_beside, tmp_path):
        assert before == (False, names[:1], 1)
        assert after == names
        assert found == ["go", *names]
    step, state = load_latest_checkpoint(tmp_path)
    assert (step, state["optimizer"]) == (2, [{"lr": 0.1}])
    assert torch.equal(state["model"]["rows"], ROWS)
    assert torch.equal(state["model"]["own"], ROWS)


@catches(CHECKPOINT, "        with _failure_told(path):\n            finish()", "        finish()")
@catches(SUBJECT, "            written.result()\n", "            pass\n")
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_what_fails_beside_the_training_is_told_and_leaves_nothing_aside(written, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    shutil.copytree(written, tmp_path / "copy")
    monkeypatch.setattr(FileSystemWriter, "write_data", full)
    writing = begin_sharded_checkpoint(tmp_path / "copy", 31, {"rows": ROWS}, None)
    with pytest.raises(CheckpointError, match=r"step-000000031: could not .*No space left on device.*are intact$"):
        writing.result(timeout=30)
    assert sorted(os.listdir(tmp_path / "copy")) == ["step-000000002", "step-000000030"]
