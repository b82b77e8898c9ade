"""Trackers are told what the metrics are told; one that is not installed is named before anything runs."""

import contextlib

import pytest
from accelerate import Accelerator, tracking

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.run import trackers
from vistok.workbench.run.trackers import check_trackers, tracked

SUBJECT = "vistok.workbench.run.trackers"


TOLD = []


class Told(tracking.GeneralTracker):
    """In TensorBoard's place."""

    name, requires_logging_directory = "tensorboard", True

    def __init__(self, run_name, logging_dir):
        super().__init__(_blank=True)
        self.run_name, self.logging_dir, self.values, self.finished = run_name, logging_dir, [], False
        TOLD.append(self)

    def start(self):
        self.finished = False

    def log(self, values, step=None, **options):
        self.values.append((step, values))

    def finish(self):
        self.finished = True


@catches(SUBJECT, "            tracker.finish()\n", "            pass\n")
@catches(SUBJECT, "step=step)", "step=0)")
def test_a_tracker_is_told_each_step_and_finished_whatever_happens(tmp_path, monkeypatch):
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", Told)
    accelerator = Accelerator(cpu=True)
    with contextlib.suppress(KeyError), tracked(["tensorboard"], "refiner", tmp_path / "mine", accelerator) as track:
        track({"loss": 2.0}, 50)
        track({"loss": 1.0}, 100)
        raise KeyError
    told = TOLD.pop()
    assert told.values == [(50, {"loss": 2.0}), (100, {"loss": 1.0})]
    assert (told.run_name, told.logging_dir) == ("mine-refiner", str(tmp_path / "mine" / "trackers"))
    assert told.finished
    assert accelerator.trackers == []


@catches(SUBJECT, "    if not names:", "    if names is None:")
def test_without_trackers_nothing_is_made(tmp_path):
    with tracked([], "refiner", tmp_path / "mine", Accelerator(cpu=True)) as track:
        track({"loss": 2.0}, 50)
    assert not (tmp_path / "mine").exists()


@catches(SUBJECT, "if name not in installed:", "if not installed:")
def test_one_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: [tracking.LoggerType.TENSORBOARD])
    check_trackers(["tensorboard"])
    with pytest.raises(ConfigError, match="track: wandb is not installed; pip install wandb, or leave it out"):
        check_trackers(["tensorboard", "wandb"])
