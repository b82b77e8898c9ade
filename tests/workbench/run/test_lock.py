"""One process at a time in a run's folder."""

import os
import signal
import subprocess
import sys

import pytest

from _support.mutants import catches
from vistok.workbench.config import Config, ConfigError
from vistok.workbench.run.folder import mark_run
from vistok.workbench.run.lock import run_lock
from vistok.workbench.run.stages import Stage, Stages

SUBJECT = "vistok.workbench.run.lock"

HOLDER = """
import pathlib, sys, time
from vistok.workbench.run.lock import run_lock
with run_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_told_who_works_there(tmp_path, holder):
    message = rf"process {holder.pid} on \S+ is working in it; wait for it to end, or use another --name"
    with pytest.raises(ConfigError, match=message), run_lock(tmp_path):
        pass


def test_a_stage_does_not_begin_where_another_process_works(tmp_path, holder):
    mark_run(tmp_path, "toy")
    stage = Stage("train", (), (tmp_path / "weights",))
    stages = Stages("toy", "", tmp_path, Config(), [stage])
    message = rf"process {holder.pid} on \S+ is working in it"
    with pytest.raises(ConfigError, match=message), stages.opened(stage, resume=False, fresh=True):
        pytest.fail("it began")
    with pytest.raises(ConfigError, match=message):
        stages.restart()
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "vistok-run.json"}


def test_what_a_killed_process_left_is_taken_over(tmp_path, holder, caplog):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with run_lock(tmp_path):
        assert f"process {holder.pid} on" in caplog.text
        assert "ended without releasing it; taken over" in caplog.text


@catches(SUBJECT, "file.truncate(0)  # an empty file says that its last holder ended in order", "pass")
@catches(SUBJECT, "_held.add(path)", "pass")
def test_it_is_released_in_order_and_after_an_error(tmp_path, caplog):
    def fail():
        with run_lock(tmp_path), run_lock(tmp_path):  # one process may hold it twice
            raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match=r"^no$"):
            fail()
    assert caplog.text == ""
