"""A finished stage that is asked for again with --resume."""

import json
import logging
import shutil

import pytest

from _support.mutants import catches
from _support.toy_stages import Options, Settings, toy
from vistok.workbench.command_line import Command, Run, recipe_commands
from vistok.workbench.config import ConfigError
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.inventory import Inventory
from vistok.workbench.run.stages import Stages
from vistok.workbench.training.loop import TrainConfig

SUBJECT = "vistok.workbench.command_line"
STAGES = "vistok.workbench.run.stages"


def recipe(folder, done, *, steps=1, images=None):
    """The commands of the toy recipe; each notes what it does, and the training leaves a checkpoint."""
    toys, _ = toy(folder, [])
    stages = Stages("toy", "", folder, Settings(steps=steps), list(toys.by_name.values()), images)

    def work(name):
        def run(run):
            done.append(name)
            if name == "train":
                (folder / "checkpoints").mkdir(exist_ok=True)
                (folder / "checkpoints" / "step-000000001.pt").touch()
            stages.by_name[name].outputs[0].write_text(name)

        return run

    table = [
        Command("train", "Train.", work("train"), training=lambda run: TrainConfig(steps=1, batch_size=4)),
        Command("report", "Report.", work("report")),
    ]

    def prepare(options):
        return Run(Settings(), None, Choice("", "", ""), stages, options.resume)

    return recipe_commands(prepare, table, demo="All.", options_type=Options)


@catches(SUBJECT, "if options.resume and run.stages.stays(stage):", "if False:")
@catches(SUBJECT, "if options.resume and run.stages.stays(stage):", "if run.stages.stays(stage):")
@catches(SUBJECT, "_check_options(options, stage, training, command.divides)", "pass")
def test_a_finished_stage_stays_and_one_that_lost_its_file_is_done_again(tmp_path, caplog):
    done, folder = [], tmp_path / "run"
    commands, again = recipe(folder, done), Options(resume=True)
    commands["train"](Options())
    commands["report"](Options())
    shutil.rmtree(folder / "checkpoints")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with caplog.at_level(logging.INFO):
        stayed = [commands[name](again) for name in ("train", "report")]
    assert done == ["train", "report"]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert caplog.messages == [f"{name}: done earlier (--fresh runs it again)" for name in ("train", "report")]
    assert [output.place for output in stayed] == [folder / "weights", folder / "page"]
    assert stayed[0].values["result"] == str(folder / "weights")
    with pytest.raises(ConfigError, match="skip: expected only with demo, got it with train"):
        commands["train"](Options(resume=True, skip=("train",)))
    commands["report"](Options())
    assert done == ["train", "report", "report"]
    (folder / "weights").unlink()
    commands["train"](again)
    assert done == ["train", "report", "report", "train"]


@catches(STAGES, "            self._check_inputs(stage, fresh=False)", "            pass")
def test_what_a_finished_stage_was_made_of_is_checked_as_before_it_runs(tmp_path):
    done, folder = [], tmp_path / "run"
    again, images = Options(resume=True), Inventory(9, 1, ["a"], "a", "b")
    commands = recipe(folder, done, images=images)
    commands["demo"](Options())
    with pytest.raises(ConfigError, match=r"train was run with another configuration \(steps was 1, now 2\)"):
        recipe(folder, done, steps=2, images=images)["report"](again)
    with pytest.raises(ConfigError, match="that train was run with, got as many, but other ones"):
        recipe(folder, done, images=Inventory(9, 1, ["a"], "c", "b"))["report"](again)
    (folder / "weights").write_text("trai")
    with pytest.raises(ConfigError, match="weights: missing, or not as train wrote it; run toy train --fresh"):
        commands["report"](again)
    assert done == ["train", "report"]


@catches(STAGES, "        if done:\n            check_folder(self.folder, self.program)\n", "        if done:\n")
def test_a_stage_of_another_recipes_run_does_not_stay(tmp_path):
    done, folder = [], tmp_path / "run"
    commands = recipe(folder, done)
    commands["train"](Options())
    (folder / "vistok-run.json").write_text(json.dumps({"made by": "other"}))
    with pytest.raises(ConfigError, match="a run of other, expected one of toy"):
        commands["train"](Options(resume=True))
    assert done == ["train"]
