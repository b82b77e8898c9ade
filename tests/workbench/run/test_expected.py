"""How long stages will take is known from the last run of the same settings, or as it was measured once."""

import json
import os

from _support.mutants import catches
from vistok.workbench.config import Config
from vistok.workbench.run.expected import expected_seconds
from vistok.workbench.run.folder import MARK, mark_run
from vistok.workbench.run.records import Record, Records
from vistok.workbench.run.stages import Stage, Stages

SUBJECT = "vistok.workbench.run.expected"


class Settings(Config):
    seed: int = 0
    steps: int = 5


def stages(folder):
    train = Stage("train", ("seed", "steps"), (folder / "a",))
    return Stages("toy", "", folder, Settings(), [train, Stage("report", (), (folder / "b",), needs=("train",))])


def earlier(folder, seconds, *, settings=None, maker="toy", run=None, when=0):
    mark_run(run or folder, maker)
    (folder / "stages").mkdir(parents=True)
    for name, took in seconds.items():
        own = {"seed": 0, "steps": 5} | (settings or {}) if name == "train" else {}
        outputs = {"a": "0"} if took else {}
        Records(folder).write(Record(name, [], own, outputs, cost={"wall_seconds": took or 1.0}))
    os.utime(folder / "stages", (when, when))


@catches(SUBJECT, "reverse=True", "reverse=False")
@catches(SUBJECT, "len(found) == len(stages.by_name)", "found")
@catches("vistok.workbench.run.stages", '({**each, "seed": None} for each in', "(each for each in")
@catches("vistok.workbench.run.stages", "if not differences(was, now):", "if True:")
def test_the_newest_run_with_these_settings_counts_whatever_its_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{SUBJECT}.computes_in_bfloat16", lambda device: True)
    shipped = {"train": 70.0, "sample": 9.0}
    asked = stages(tmp_path / "new")
    assert expected_seconds(asked, tmp_path, {}) == ({}, "not known before")
    assert expected_seconds(asked, tmp_path, shipped) == ({"train": 70.0}, "about those of 2 cores of a server")
    earlier(tmp_path / "old", {"train": 10.0, "report": 1.0}, when=1)
    earlier(tmp_path / "other steps", {"train": 20.0, "report": 2.0}, settings={"steps": 6}, when=5)
    earlier(tmp_path / "unfinished", {"train": 30.0, "report": 0.0}, when=6)
    earlier(tmp_path / "other recipe", {"train": 40.0, "report": 4.0}, maker="another", when=7)
    earlier(tmp_path / "seed", {"train": 50.0, "report": 5.0}, settings={"seed": 3}, when=4)
    assert expected_seconds(asked, tmp_path, shipped)[0] == {"train": 50.0, "report": 5.0}
    assert expected_seconds(asked, tmp_path, shipped)[1] == f"as in {tmp_path / 'seed'}"


@catches(SUBJECT, "if computes_in_bfloat16(best_device()):", "if True:")
def test_a_processor_without_bfloat16_is_expected_to_take_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{SUBJECT}.computes_in_bfloat16", lambda device: False)
    seconds, source = expected_seconds(stages(tmp_path / "new"), tmp_path, {"train": 70.0})
    assert seconds == {"train": 350.0}
    assert source == "about 5 times those of 2 cores with products in bfloat16, which are none here"


@catches(SUBJECT, "place.parents[2] if place.parents[1].name == ASIDE else place.parent", "place.parent")
@catches(SUBJECT, "contextlib.suppress(ConfigError, OSError)", "contextlib.suppress(OSError)")
def test_an_earlier_run_that_was_set_aside_counts_and_a_damaged_one_does_not(tmp_path):
    aside = tmp_path / "new" / "aside" / "2026-01-01-000000"
    earlier(aside, {"train": 10.0, "report": 1.0}, run=tmp_path / "new", when=1)
    earlier(tmp_path / "damaged", {"train": 20.0, "report": 2.0}, when=5)
    (tmp_path / "damaged" / "stages" / "train.json").write_text(json.dumps({"no": "record"}))
    earlier(tmp_path / "unmarked", {"train": 30.0, "report": 3.0}, when=6)
    (tmp_path / "unmarked" / MARK).write_text("")
    assert expected_seconds(stages(tmp_path / "new"), tmp_path, {}) == (
        {"train": 10.0, "report": 1.0},
        f"as in {aside}",
    )
