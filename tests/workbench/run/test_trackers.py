"""Trackers are told what the metrics are told; one that is not installed is named before anything runs."""

import contextlib
import io

import numpy as np
import pytest
import torch
from accelerate import Accelerator, tracking
from PIL import Image

from _support.mutants import catches
from _support.seeing_tracker import pictures_shown
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


ORIGINALS = torch.tensor([-1.0, 0.0]).reshape(2, 1, 1, 1).expand(2, 3, 4, 5)
MADE = torch.tensor([1.0, -700.0]).reshape(2, 1, 1, 1).expand(2, 3, 4, 5)


@catches(SUBJECT, "            tracker.finish()\n", "            pass\n")
@catches(SUBJECT, "step=step)", "step=0)")
def test_a_tracker_is_told_each_step_and_finished_whatever_happens(tmp_path, monkeypatch):
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", Told)
    accelerator = Accelerator(cpu=True)
    with contextlib.suppress(KeyError), tracked(["tensorboard"], "refiner", tmp_path / "mine", accelerator) as track:
        track.values({"loss": 2.0}, 50)
        track.values({"loss": 1.0}, 100)
        raise KeyError
    told = TOLD.pop()
    assert told.values == [(50, {"loss": 2.0}), (100, {"loss": 1.0})]
    assert (told.run_name, told.logging_dir) == ("mine-refiner", str(tmp_path / "mine" / "trackers"))
    assert told.finished
    assert accelerator.trackers == []


@catches(SUBJECT, "    if not names:", "    if names is None:")
def test_without_trackers_nothing_is_made(tmp_path):
    with tracked([], "refiner", tmp_path / "mine", Accelerator(cpu=True)) as track:
        track.values({"loss": 2.0}, 50)
    assert not (tmp_path / "mine").exists()


@catches(SUBJECT, "if name not in installed:", "if not installed:")
def test_one_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: [tracking.LoggerType.TENSORBOARD])
    check_trackers(["tensorboard"])
    with pytest.raises(ConfigError, match="track: wandb is not installed; pip install wandb, or leave it out"):
        check_trackers(["tensorboard", "wandb"])


@catches(SUBJECT, "dim=3)", "dim=2)")
@catches(SUBJECT, ".clamp(-1, 1)", "")
@catches(SUBJECT, "(originals, made)]", "(made, originals)]")
def test_pictures_are_pairs_side_by_side_in_the_layout_that_the_tracker_is_told(tmp_path, monkeypatch):
    shown = pictures_shown(monkeypatch)
    with tracked(["tensorboard"], "refiner", tmp_path / "mine", Accelerator(cpu=True)) as track:
        track.pictures(ORIGINALS, MADE, 50)
    ((step, pairs),) = shown
    assert (step, pairs.dtype, pairs.shape) == (50, np.uint8, (2, 4, 10, 3))
    assert pairs[:, 0, [0, 4, 5, 9], 0].tolist() == [[0, 0, 255, 255], [128, 128, 0, 0]]


@catches(SUBJECT, "side[:_PAIRS]", "side")
def test_of_a_large_batch_eight_pairs_are_shown(tmp_path, monkeypatch):
    shown = pictures_shown(monkeypatch)
    with tracked(["tensorboard"], "refiner", tmp_path / "mine", Accelerator(cpu=True)) as track:
        track.pictures(torch.zeros(30, 1, 4, 5), torch.zeros(30, 1, 4, 5), 50)
    assert shown[0][1].shape == (8, 4, 10, 1)


@catches(SUBJECT, "self._told = True", "self._told = False")
@catches(SUBJECT, "            if hasattr(tracker", "            if tracker or hasattr(tracker")
def test_one_that_takes_no_pictures_is_told_once_and_keeps_its_numbers(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "tensorboard", Told)
    with tracked(["tensorboard"], "refiner", tmp_path / "mine", Accelerator(cpu=True)) as track:
        for step in (50, 100):
            track.pictures(ORIGINALS, MADE, step)
        track.values({"loss": 1.0}, 100)
    assert TOLD.pop().values == [(100, {"loss": 1.0})]
    assert [record.getMessage() for record in caplog.records] == [
        "track: accelerate gives tensorboard numbers only, no pictures"
    ]


def test_tensorboards_file_holds_the_pairs(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with tracked(["tensorboard"], "refiner", tmp_path / "mine", Accelerator(cpu=True)) as track:
        track.pictures(ORIGINALS, MADE, 50)
    (file,) = (tmp_path / "mine" / "trackers").rglob("*tfevents*")
    events = accumulator.EventAccumulator(str(file))
    events.Reload()
    (picture,) = events.Images("reconstructions")
    assert picture.step == 50
    pixels = np.asarray(Image.open(io.BytesIO(picture.encoded_image_string)))
    assert pixels[0, [0, 5, 10, 15], 0].tolist() == [0, 255, 128, 0]
