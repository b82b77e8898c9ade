"""Cells in processes: how many at a time, never two in a folder, failures, and stopping."""

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from _support.mutants import catches
from _support.toy_studies import STUDY, runs  # noqa: F401  # a fixture
from vistok.workbench.config import ConfigError
from vistok.workbench.strict_yaml import write_yaml
from vistok.workbench.studies.cells import Data, cells_of
from vistok.workbench.studies.outcomes import FAILED, FINISHED, OPEN, Outcome, read_outcome
from vistok.workbench.studies.runner import run_cells
from vistok.workbench.studies.schema import Study
from vistok.workbench.training.signals import Interrupted

SUBJECT = "vistok.workbench.studies.runner"


def toy_cells(**changes):
    return cells_of(Study.model_validate(STUDY | changes), Path(), data=None)


def calls(folder):
    """What the recipe noted: began or ended, run, generator, threads."""
    path = folder / "calls"
    return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []


def most_at_once(noted):
    running, most = 0, 0
    for what, *_ in noted:
        running += 1 if what in ("began", "resumed") else -1
        most = max(most, running)
    return most


def when(condition, action):
    """Act in another thread once something is true, or after three seconds."""

    def wait():
        end = time.monotonic() + 3
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@catches(SUBJECT, "check_source(unmade.run, runs)", "pass")
@catches("vistok.workbench.studies.outcomes", "or not has_source(cell.run, runs)", "")
@catches("vistok.workbench.studies.sharing", "in (None, run.source)", "is not None")
def test_other_images_of_the_same_name_are_neither_finished_nor_begun(runs):  # noqa: F811
    study = Study.model_validate(STUDY | {"seeds": (0,)})
    a, b = (runs.parent / place / "images" for place in "ab")
    for place in (a, b):
        place.mkdir(parents=True)
    here, elsewhere = (cells_of(study, Path(), data=Data("images", str(place))) for place in (a, b))
    run_cells(here, runs, jobs=1, threads=1)
    noted = calls(runs)
    assert [read_outcome(cell, runs).state for cell in (*here, *elsewhere)] == [FINISHED, FINISHED, OPEN, OPEN]
    said = rf"^data: expected images to be {a}, of which {runs / here[0].run.name} is made, got {b}; --data"
    with pytest.raises(ConfigError, match=said):
        run_cells(elsewhere, runs, jobs=1, threads=1)
    run_cells(here, runs, jobs=1, threads=1)
    assert calls(runs) == noted
    for file in runs.glob("*/study/run.json"):  # of before places were written down
        file.write_text(json.dumps({**json.loads(file.read_text()), "source": None}))
    assert [read_outcome(cell, runs).state for cell in (*here, *elsewhere)] == [FINISHED] * 4


@catches(SUBJECT, "if unmade.run.data and unmade.run.data.is_missing:", "if False:")
def test_images_that_are_not_there_are_told_before_anything_begins_and_finished_cells_need_none(runs):  # noqa: F811
    place = runs.parent / "images"
    cells = cells_of(Study.model_validate(STUDY | {"seeds": (0,)}), Path(), data=Data("images", str(place)))
    with pytest.raises(ConfigError, match=rf"^data: expected a file or folder that is there, got {place}$"):
        run_cells(cells, runs, jobs=1, threads=1)
    assert list(runs.iterdir()) == []
    place.mkdir()
    run_cells(cells, runs, jobs=1, threads=1)
    place.rmdir()
    run_cells(cells, runs, jobs=1, threads=1)


@catches(SUBJECT, '"OMP_NUM_THREADS": str(self.threads)', '"OMP_NUM_THREADS": "9"')
@catches(SUBJECT, "[cell for cell in cells if read_outcome(cell, runs).state != FINISHED]", "list(cells)")
def test_every_cell_runs_once_and_none_again(runs):  # noqa: F811
    cells = toy_cells()
    run_cells(cells, runs, jobs=1, threads=3)
    assert [read_outcome(cell, runs).state for cell in cells] == [FINISHED] * 4
    noted = calls(runs)
    assert most_at_once(noted) == 1
    assert [(what, name) for what, name, *_ in noted] == [
        (what, cell.run.name) for cell in cells for what in ("began", "ended")
    ]
    assert {threads for *_, threads in noted} == {"3"}
    run_cells(cells, runs, jobs=1, threads=3)
    assert calls(runs) == noted


@catches(SUBJECT, "len(running) < jobs", "len(running) < 1")
@catches(SUBJECT, "if cell.family not in families", "if True")
def test_as_many_run_at_a_time_as_asked_and_rather_those_that_can_share_nothing(runs):  # noqa: F811
    cells = toy_cells(set={"wait": True})
    watcher = when(lambda: len(calls(runs)) == 2, (runs / "go").touch)
    run_cells(cells, runs, jobs=2, threads=1)
    watcher.join()
    noted = calls(runs)
    assert most_at_once(noted) == 2
    assert {name for _, name, *_ in noted[:2]} == {cells[0].run.name, cells[2].run.name}  # the base row at both seeds


@catches(SUBJECT, "if cell.run.name not in folders and", "if")
@catches(SUBJECT, "if code == 0 and self._left and", "if False and")
def test_no_two_cells_of_a_folder_run_at_a_time_and_every_generator_has_its_turn(runs):  # noqa: F811
    rows = {"both": {}, "few": {"samples": "few"}, "other": {"set": {"weight": 1}}}
    cells = toy_cells(rows=rows, seeds=(0,), generators=("xar", "far"))
    run_cells(cells, runs, jobs=3, threads=1)
    mine = [line for line in calls(runs) if line[1] == cells[0].run.name]
    assert [what for what, *_ in mine] == ["began", "ended"] * 4
    assert [generator for _, _, generator, _ in mine[::2]] == ["xar", "far", "xar", "far"]
    assert [read_outcome(cell, runs).state for cell in cells] == [FINISHED] * 3


@catches(SUBJECT, " and unmade.isdisjoint(cell.after)", "")
@catches(SUBJECT, "folders | {cell.run.name for cell in waiting}", "folders")
def test_a_run_that_others_read_from_comes_first(runs, caplog):  # noqa: F811
    rows = {
        "learner": {"set": {"weight": "{run of base}/w"}},
        "base": {},
        "third": {"set": {"weight": "{run of base}"}},
    }
    cells = toy_cells(rows=rows, seeds=(0,))
    with caplog.at_level(logging.INFO):
        run_cells(cells, runs, jobs=3, threads=1)
    told = [message.partition(" (")[0] for message in caplog.messages]
    assert told[:2] == ["begin: base, seed 0", "finished: base, seed 0"]
    assert {name for _, name, *_ in calls(runs)[2:]} == {cells[0].run.name, cells[2].run.name}


@catches(SUBJECT, "if other.after.get(cell.run.name) == cell.row]", "if False]")
@catches(SUBJECT, "        waiting.remove(other)\n", "")
@catches(SUBJECT, "keep_outcome(other, runs, Outcome(FAILED, why))", "pass")
def test_a_cell_does_not_begin_without_the_run_that_it_reads_from(runs, caplog):  # noqa: F811
    rows = {
        "learner": {"set": {"teacher": "{run of base}/w"}},
        "base": {"set": {"fail": 2}},
        "other": {},
    }
    learner, base, other = toy_cells(rows=rows, seeds=(0,))
    run_cells([learner, base, other], runs, jobs=1, threads=1)
    assert read_outcome(learner, runs) == Outcome(FAILED, "needs base, which failed")
    assert [read_outcome(cell, runs).state for cell in (base, other)] == [FAILED, FINISHED]
    assert {name for _, name, *_ in calls(runs)} == {base.run.name, other.run.name}
    assert "failed: learner, seed 0: needs base, which failed" in caplog.messages


@catches(SUBJECT, "except (OSError, ValueError) as error:", "except ZeroDivisionError as error:")
@catches(SUBJECT, "Outcome(FAILED, one_line(error), threads)", "Outcome(FINISHED, one_line(error), threads)")
def test_a_cell_that_cannot_begin_is_named_and_stops_no_other(runs, caplog):  # noqa: F811
    bad, good = toy_cells(seeds=(0,))
    (runs / bad.run.name / "study" / "output.log").mkdir(parents=True)  # where its log should be
    run_cells([bad, good], runs, jobs=1, threads=1)
    assert [read_outcome(cell, runs).state for cell in (bad, good)] == [FAILED, FINISHED]
    assert "Is a directory" in read_outcome(bad, runs).error
    assert any(message.startswith(f"failed: {bad.label}: ") for message in caplog.messages)


@catches(SUBJECT, "if not isinstance(sys.exception(), KeyboardInterrupt):", "if False:")
def test_what_ends_the_study_lets_the_others_write_their_checkpoints(runs, monkeypatch):  # noqa: F811
    slow, quick = toy_cells(rows={"slow": {"set": {"wait": True}}, "quick": {}}, seeds=(0,))

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vistok.workbench.studies.runner.keep_outcome", full)
    with pytest.raises(OSError, match="No space left"):
        run_cells([slow, quick], runs, jobs=2, threads=1)
    assert [what for what, name, *_ in calls(runs) if name == slow.run.name] == ["began", "stopped"]


@catches(SUBJECT, 'f"killed by signal {-code}; " if code < 0 else ""', '""')
@catches(SUBJECT, "Outcome(FAILED, killed", "Outcome(FINISHED, killed")
def test_a_cell_that_fails_is_named_with_its_last_line_and_stops_no_other(runs, caplog):  # noqa: F811
    rows = {"bad": {"set": {"fail": 2}}, "good": {}}
    bad, good = toy_cells(rows=rows, seeds=(0,), generators=("xar", "far"))
    run_cells([bad, good], runs, jobs=1, threads=1)
    assert read_outcome(bad, runs)[:2] == (FAILED, "toy: weight: expected a number")
    assert read_outcome(good, runs).state == FINISHED
    log = runs / bad.run.name / "study" / "output.log"
    assert f"failed: bad, seed 0: toy: weight: expected a number ({log})" in caplog.messages
    assert [line[0] for line in calls(runs) if line[1] == bad.run.name] == ["began"]  # and no second generator
    killed = toy_cells(rows={"slow": {"set": {"wait": True}}}, seeds=(0,))
    watcher = when(lambda: len(calls(runs)) == 6, lambda: os.kill(child(), signal.SIGKILL))
    run_cells(killed, runs, jobs=1, threads=1)
    watcher.join()
    assert read_outcome(killed[0], runs).error.startswith("killed by signal 9; ")


def child():
    """The only process that this one has started and not yet waited for."""
    return int(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()[-1])


@catches(SUBJECT, "            self.process.terminate()", "            self.process.kill()")
@catches(SUBJECT, "start_new_session=True", "start_new_session=False")
@catches(SUBJECT, "        if self._asked_to_stop:\n            return None\n", "")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_children_with_their_checkpoints_and_the_same_call_goes_on(runs, number):  # noqa: F811
    cells = toy_cells(set={"wait": True})
    groups = []

    def stop():
        groups.append(os.getpgid(child()))
        os.kill(os.getpid(), number)

    watcher = when(lambda: len(calls(runs)) == 2, stop)
    with pytest.raises(Interrupted, match="the same command goes on from the newest checkpoints"):
        run_cells(cells, runs, jobs=2, threads=1)
    watcher.join()
    assert groups != [os.getpgid(0)]  # a Ctrl-C in the terminal does not reach the children a second time
    assert sorted(what for what, *_ in calls(runs)) == ["began", "began", "stopped", "stopped"]
    assert {read_outcome(cell, runs).state for cell in cells} == {OPEN}
    (runs / "go").touch()
    run_cells(cells, runs, jobs=2, threads=1)
    assert [what for what, *_ in calls(runs)].count("resumed") == 2
    assert {read_outcome(cell, runs).state for cell in cells} == {FINISHED}


def test_a_terminal_that_is_closed_stops_the_study_and_all_that_it_runs(runs):  # noqa: F811
    path = runs.parent / "toy.yaml"
    path.write_text(write_yaml(STUDY | {"set": {"wait": True}}))
    command = ["run", str(path), "--runs", str(runs)]
    begin = f"""
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv[1:] = {command}
from vistok.workbench.studies.command import main
main()
"""
    terminal, inside = os.openpty()
    paths = os.pathsep.join(filter(None, sys.path))
    study = subprocess.Popen(
        [sys.executable, "-c", begin],
        **dict.fromkeys(("stdin", "stdout", "stderr"), inside),
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
    )
    os.close(inside)
    told = b""
    while not calls(runs) and study.poll() is None:
        if select.select([terminal], [], [], 0.05)[0]:
            told += os.read(terminal, 4096)
    os.close(terminal)
    with contextlib.suppress(ProcessLookupError):
        os.kill(study.pid, signal.SIGHUP)  # the shell says so as well as the system
    assert study.wait(timeout=60) == 130, told
    assert [what for what, *_ in calls(runs)] == ["began", "stopped"], told
