"""The cells of a study in processes of their own: some at a time, never two in one folder, stopped together."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from vistok.workbench.config import ConfigError
from vistok.workbench.program import one_line
from vistok.workbench.studies.cells import Cell
from vistok.workbench.studies.outcomes import (
    FAILED,
    FINISHED,
    Outcome,
    keep_outcome,
    last_line,
    log_file,
    read_outcome,
)
from vistok.workbench.studies.sharing import check_source, share_stages
from vistok.workbench.training.signals import Interrupted, StopSignal

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.1


class Job:
    """A cell that is being made: its commands in turn, until one fails.

    Args:
        cell: The cell.
        runs: The folder of all runs.
        threads: Of each of its processes.
    """

    def __init__(self, cell: Cell, runs: Path, threads: int) -> None:
        self.cell, self.runs, self.threads = cell, runs, threads
        share_stages(cell.run, runs)
        self._left = cell.commands(runs)
        self._log = log_file(cell, runs).open("ab")
        self._asked_to_stop = False
        self._next()

    def has_ended(self) -> bool:
        """Whether nothing of it runs any more; starts the next command when one has ended well."""
        code = self.process.poll()
        if code is None:
            return False
        if code == 0 and self._left and not self._asked_to_stop:
            self._next()
            return False
        self._log.close()
        return True

    def outcome(self) -> Outcome | None:
        """How it ended; none if it was stopped on the way."""
        code = self.process.returncode
        if code == 0 and not self._left:
            return Outcome(FINISHED, threads=self.threads)
        if self._asked_to_stop:
            return None
        killed = f"killed by signal {-code}; " if code < 0 else ""
        return Outcome(FAILED, killed + last_line(log_file(self.cell, self.runs)), self.threads)

    def stop(self) -> None:
        """Ask it once to end: a training writes a checkpoint first."""
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self.process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self._log.close()

    def _next(self) -> None:
        # A session of its own: what the terminal sends reaches the study alone, which passes one signal on.
        self.process = subprocess.Popen(
            self._left.pop(0),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": str(self.threads)},
            start_new_session=True,
        )


def run_cells(cells: Sequence[Cell], runs: Path, *, jobs: int, threads: int) -> None:
    """Make all cells that are not finished; how each ended is kept in its folder.

    A failure stops no other but those that read from the run that failed: they have failed, too.

    Raises:
        ConfigError: There are no images, or a folder is of other ones that are called the same; nothing has begun.
        Interrupted: Ctrl-C, SIGTERM or a closed terminal; every process has ended, with its checkpoint written. A
            second Ctrl-C kills.
    """
    waiting = [cell for cell in cells if read_outcome(cell, runs).state != FINISHED]
    for unmade in waiting:
        check_source(unmade.run, runs)
        if unmade.run.data and unmade.run.data.is_missing:
            raise ConfigError(f"data: expected a file or folder that is there, got {unmade.run.data.source}")
    running: list[Job] = []
    with (
        StopSignal() as stop,
        logging_redirect_tqdm(),
        tqdm(total=len(cells), initial=len(cells) - len(waiting), unit="cell", disable=None) as bar,
    ):
        try:
            while running or (waiting and not stop.requested):
                while not stop.requested and len(running) < jobs and (cell := _next_cell(waiting, running)):
                    waiting.remove(cell)
                    logger.info("begin: %s (%s)", cell.label, log_file(cell, runs))
                    try:
                        running.append(Job(cell, runs, threads))
                    except (OSError, ValueError) as error:
                        bar.update(_failed(cell, runs, waiting, Outcome(FAILED, one_line(error), threads)))
                for job in running if stop.requested else ():
                    job.stop()
                for job in [job for job in running if job.has_ended()]:
                    running.remove(job)
                    bar.update(_note(job, waiting))
                bar.set_postfix_str("; ".join(job.cell.label for job in running))
                time.sleep(_POLL_SECONDS)
        finally:
            _end(running)
    if stop.requested:
        raise Interrupted("interrupted; the same command goes on from the newest checkpoints")


def _next_cell(waiting: Sequence[Cell], running: Sequence[Job]) -> Cell | None:
    """The first cell whose folder is free and whose needs are made; rather one that shares none of its stages."""
    folders = {job.cell.run.name for job in running}
    unmade = folders | {cell.run.name for cell in waiting}
    families = {job.cell.family for job in running}
    free = [cell for cell in waiting if cell.run.name not in folders and unmade.isdisjoint(cell.after)]
    return next((cell for cell in free if cell.family not in families), next(iter(free), None))


def _note(job: Job, waiting: list[Cell]) -> int:
    """Keep how a cell ended, and that those which need it cannot begin; how many cells that settles."""
    cell, outcome = job.cell, job.outcome()
    if outcome is None:
        logger.info("stopped: %s", cell.label)
        return 0
    if outcome.state == FAILED:
        return _failed(cell, job.runs, waiting, outcome)
    keep_outcome(cell, job.runs, outcome)
    logger.info("finished: %s", cell.label)
    return 1


def _failed(cell: Cell, runs: Path, waiting: list[Cell], outcome: Outcome) -> int:
    keep_outcome(cell, runs, outcome)
    logger.error("failed: %s: %s (%s)", cell.label, outcome.error, log_file(cell, runs))
    lost = [other for other in waiting if other.after.get(cell.run.name) == cell.row]
    for other in lost:
        waiting.remove(other)
        why = f"needs {cell.row}, which failed"
        keep_outcome(other, runs, Outcome(FAILED, why))
        logger.error("failed: %s: %s", other.label, why)
    return 1 + len(lost)


def _end(running: Sequence[Job]) -> None:
    """End what still runs: each after its current step with a checkpoint, but at once on a second Ctrl-C."""
    try:
        if not isinstance(sys.exception(), KeyboardInterrupt):
            for job in running:
                job.stop()
            for job in running:
                job.process.wait()
    finally:
        for job in running:
            job.kill()
