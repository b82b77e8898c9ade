"""The commands of a toy recipe of two stages: order, resuming, what went wrong in a stage, what is left of the time."""

import logging
import re

import pytest

from _support.mutants import catches
from _support.toy_stages import Options, Settings, toy
from vistok.workbench.command_line import (
    Command,
    Run,
    opened_stage,
    recipe_commands,
    run_stages,
)
from vistok.workbench.config import ConfigError
from vistok.workbench.program import UnexpectedError
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.inventory import Inventory
from vistok.workbench.run.stages import Stage, Stages
from vistok.workbench.training.finite import NonFiniteLossError
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.signals import Interrupted

SUBJECT = "vistok.workbench.command_line"


@catches(SUBJECT, "replace(options, fresh=False, skip=())", "options")
def test_all_stages_run_in_order_and_none_sets_the_run_aside(tmp_path, caplog):
    calls = []
    with caplog.at_level(logging.INFO):
        run_stages(Options(fresh=True, seed=3), *toy(tmp_path / "run", calls))
    assert [name for name, _ in calls] == ["train", "report"]
    assert {options for _, options in calls} == {Options(fresh=False, seed=3)}
    assert [re.sub(r"\d+ s\b", "N s", line) for line in caplog.messages] == [
        f"{tmp_path / 'run'}: 2 stages; their times: not known before",
        "[1/2] train",
        "[1/2] train: done in N s",
        "[2/2] report",
        "[2/2] report: done in N s",
        f"done in N s; open {tmp_path / 'run' / 'page'}",
    ]


@catches(SUBJECT, "if command.name not in listed:", "if command.name in listed:")
def test_a_stage_that_the_configuration_does_not_have_is_told_with_those_that_it_has(tmp_path):
    calls = []

    def prepare(options):
        stages, _ = toy(tmp_path / "run", [], options)
        return Run(Settings(), None, Choice("", "", ""), stages, False)

    table = [Command(name, "Do it.", lambda run: calls.append(run)) for name in ("teach", "train", "report")]
    commands = recipe_commands(prepare, table, demo="All.", options_type=Options)
    with pytest.raises(ConfigError, match=r"^teach: this configuration has no such stage, but train, report$"):
        commands["teach"](Options())
    assert calls == []
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="weights is missing"):
        commands["report"](Options())


def test_what_is_done_is_not_done_again_and_an_unfinished_run_asks(tmp_path, caplog):
    calls, folder = [], tmp_path / "run"
    stages, commands = toy(folder, calls)
    commands["train"](Options())
    with pytest.raises(ConfigError, match="this run exists; --resume continues it, --fresh sets it aside"):
        run_stages(Options(), stages, commands)
    with caplog.at_level(logging.INFO):
        run_stages(Options(resume=True), stages, commands)
        run_stages(Options(), stages, commands)
    assert [name for name, _ in calls] == ["train", "report"]
    assert caplog.messages[1] == "[1/2] train: done earlier"
    assert caplog.messages[-1] == f"finished earlier; open {folder / 'page'} (--fresh runs everything again)"


@catches(SUBJECT, "        stages.check_images()", "        pass")
@catches(SUBJECT, "if not options.fresh:", "if True:")
def test_other_images_are_told_before_a_demo_looks_at_what_is_done_and_a_fresh_one_takes_them(tmp_path):
    calls, folder = [], tmp_path / "run"
    run_stages(Options(), *toy(folder, calls, images=Inventory(9, 1, ["a"], "a", "b")))
    changed = toy(folder, calls, images=Inventory(9, 1, ["a"], "c", "b"))
    for resume in (True, False):
        with pytest.raises(ConfigError, match="that train was run with, got as many, but other ones; --fresh"):
            run_stages(Options(resume=resume), *changed)
    run_stages(Options(fresh=True), *changed)
    assert [name for name, _ in calls] == ["train", "report"] * 2


def test_a_stage_whose_file_is_cut_off_is_done_again(tmp_path):
    calls, folder = [], tmp_path / "run"
    stages, commands = toy(folder, calls)
    run_stages(Options(), stages, commands)
    (folder / "page").write_text("rep")
    run_stages(Options(resume=True), stages, commands)
    assert [name for name, _ in calls] == ["train", "report", "report"]
    assert (folder / "page").read_text() == "report"


def test_samples_of_another_generator_are_checked_before_the_first_stage_runs(tmp_path):
    calls, folder = [], tmp_path / "run"
    samples = Stage("sample.other.default", ("steps",), (folder / "samples",))
    with Stages("toy", "", folder, Settings(steps=2), [samples]).opened(samples, resume=False, fresh=False):
        (folder / "samples").write_text("samples")
    _, commands = toy(folder, calls)
    report = Stage("report", (), (folder / "page",), reads=("sample.other.default",))
    with pytest.raises(ConfigError, match=r"sample\.other\.default was run with .*\(steps was 2, now 1\)"):
        run_stages(Options(resume=True), Stages("toy", "", folder, Settings(steps=1), [report]), commands)
    assert calls == []


def test_a_fresh_demo_sets_the_whole_run_aside(tmp_path):
    calls, folder = [], tmp_path / "run"
    stages, commands = toy(folder, calls)
    run_stages(Options(), stages, commands)
    run_stages(Options(fresh=True), stages, commands)
    assert [name for name, _ in calls] == ["train", "report"] * 2
    (old,) = (folder / "aside").iterdir()
    assert (old / "weights").read_text() == "train"


def test_a_stage_that_fails_stops_those_after_it(tmp_path):
    calls = []
    stages, commands = toy(tmp_path / "run", calls)

    def fail(options):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_stages(Options(), stages, {**commands, "train": fail})
    assert calls == []


def test_commands_in_messages_repeat_the_options_that_were_given(tmp_path):
    options = Options(name="my run", data="p #1", set=("a=1", "b=2"), resume=True, loud=True)
    stages, _ = toy(tmp_path / "run", [], options)
    with pytest.raises(ConfigError, match=r"run toy train --name 'my run' --data 'p #1' .* first$"):
        with opened_stage(options, stages, stages.by_name["report"]):
            pass


@catches(SUBJECT, "if options.fresh and options.resume:", "if options.fresh and not options.resume:")
@catches(SUBJECT, "_check_contradiction(options)\n    everything", "everything")
@catches(SUBJECT, "_check_contradiction(options)\n    if options.skip", "if options.skip")
def test_resume_and_fresh_contradict_each_other(tmp_path):
    options = Options(fresh=True, resume=True)
    stages, commands = toy(tmp_path / "run", [])
    for told in (lambda: commands["train"](options), lambda: run_stages(options, stages, commands)):
        with pytest.raises(ConfigError, match="expected either --fresh or --resume, got both"):
            told()
    assert not (tmp_path / "run").exists()


@catches(SUBJECT, "log.write_text(traceback.format_exc()", "log.write_text(str(error)")
def test_what_nobody_foresaw_is_one_line_and_a_traceback_in_the_run(tmp_path):
    stages, _ = toy(tmp_path / "run", [])
    with pytest.raises(UnexpectedError, match=r"^train: ZeroDivisionError: really; the traceback is in .*error\.log$"):
        with opened_stage(Options(), stages, stages.by_name["train"]):
            raise ZeroDivisionError("really")
    assert "ZeroDivisionError: really" in (tmp_path / "run" / "error.log").read_text()


@pytest.mark.parametrize("error", [ConfigError("a"), Interrupted("b"), NonFiniteLossError("c"), KeyboardInterrupt()])
def test_what_is_foreseen_passes_as_it_is(tmp_path, error):
    stages, _ = toy(tmp_path / "run", [])
    with pytest.raises(type(error)), opened_stage(Options(), stages, stages.by_name["train"]):
        raise error
    assert not (tmp_path / "run" / "error.log").exists()


@catches(SUBJECT, "if rank == 0 else contextlib.nullcontext()", "if rank >= 0 else contextlib.nullcontext()")
@catches(
    SUBJECT, "training.batch_size % (count * training.accumulation)", "training.batch_size % training.accumulation"
)
def test_only_the_first_of_several_processes_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    stages, _ = toy(tmp_path / "run", [])
    with opened_stage(Options(), stages, stages.by_name["train"], TrainConfig(steps=1, batch_size=4)):
        pass
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="report runs in one process, got 2; start it without torchrun"):
        with opened_stage(Options(), stages, stages.by_name["report"]):
            pass
    with pytest.raises(ConfigError, match="expected a multiple of 2 processes x 1 micro-batches, got 3"):
        with opened_stage(Options(), stages, stages.by_name["train"], TrainConfig(steps=1, batch_size=3)):
            pass


@catches(SUBJECT, "if training is None and not divides and count > 1:", "if training is None and count > 1:")
@catches(SUBJECT, "if divides:\n                meet_processes()", "if not divides:\n                meet_processes()")
@catches(SUBJECT, "training, divides=command.divides", "training, divides=False")
@catches(SUBJECT, "        if process_count() > 1:\n", "        if process_count() > 2:\n")
def test_a_stage_that_divides_its_work_begins_once_all_have_met_and_the_demo_does_not(tmp_path, monkeypatch):
    met, done = [], []
    monkeypatch.setattr("vistok.workbench.command_line.meet_processes", lambda: met.append(len(done)))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    stages, _ = toy(tmp_path / "run", [])
    run = Run(Settings(), stages.folder, Choice("a", "b", "c"), stages, False)
    table = [
        Command(name, name, lambda run: done.append(run), divides=name == "report") for name in ("train", "report")
    ]
    commands = recipe_commands(lambda options: run, table, demo="All of it.", options_type=Options)
    commands["report"](Options())
    assert (met, done) == ([0], [run])
    with pytest.raises(ConfigError, match="train runs in one process, got 2"):
        commands["train"](Options())
    with pytest.raises(ConfigError, match="demo runs in one process, got 2; start it without torchrun"):
        commands["demo"](Options())


def test_a_recipe_is_a_table_of_stages_that_are_run_alone_or_all_in_turn(tmp_path):
    """What a command works with is resolved anew for each, and a stage that trains may divide its work."""
    done = []

    def prepare(options: Options) -> Run:
        stages, _ = toy(tmp_path / "run", [], options)
        return Run(Settings(), stages.folder, Choice("a", "b", "c"), stages, options.resume)

    def work(run):
        done.append(run.resume)
        run.stages.by_name["train" if len(done) == 1 else "report"].outputs[0].write_text("made")

    table = [
        Command("train", "Train.", work, training=lambda run: TrainConfig(steps=1, batch_size=4)),
        Command("report", "Report.", work),
    ]
    commands = recipe_commands(prepare, table, demo="All of it.", options_type=Options)
    assert {name: command.__doc__ for name, command in commands.items()} == {
        "demo": "All of it.",
        "train": "Train.",
        "report": "Report.",
    }
    commands["train"](Options())
    commands["demo"](Options(resume=True))
    assert done == [False, True]


@catches(SUBJECT, "shipped[command.name] *= training.steps", "pass")
@catches(SUBJECT, "seconds.get(name) or next", "next")
@catches(SUBJECT, "        left.skip(stage.name)\n", "        pass\n")
def test_the_demo_says_how_long_all_stages_take_by_the_configuration_and_the_steps(tmp_path, caplog, monkeypatch):
    """A training's seconds are those of a step; a stage that is done takes no time."""
    monkeypatch.setattr("vistok.workbench.run.expected.computes_in_bfloat16", lambda device: True)

    def prepare(options):
        stages, _ = toy(options.runs / options.name, [], options)
        return Run(Settings(), None, Choice("", "", ""), stages, options.resume)

    def work(run):
        for stage in run.stages.by_name.values():
            stage.outputs[0].write_text("made")

    table = [
        Command("train", "Train.", work, training=lambda run: TrainConfig(steps=90, batch_size=4)),
        Command("report", "Report.", work),
    ]
    seconds = {"small": {"train": 9.0, "report": 9.0}, "large": {"train": 2.0, "report": 30.0}}
    commands = recipe_commands(prepare, table, demo="All.", options_type=Options, seconds=seconds)
    with caplog.at_level(logging.INFO):
        commands["demo"](Options(name="a", runs=tmp_path, config="configs/large.yaml"))
    begin = f"{tmp_path / 'a'}: 2 stages; their times: about those of 2 cores of a server"
    assert caplog.messages[:2] == [begin, "[1/2] train (about 3:30 min left in all)"]
    half = {"name": "b", "runs": tmp_path / "others", "config": "large"}
    commands["train"](Options(**half))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        commands["demo"](Options(**half, resume=True))
    assert caplog.messages[1:3] == ["[1/2] train: done earlier", "[2/2] report (about 30 s left in all)"]


@catches(SUBJECT, "return run_output(run.stages, page)", "return run_output(run.stages, run.stages.folder)")
@catches(SUBJECT, "return run_output(run.stages, stage.outputs[0])", "return Output()")
def test_a_command_gives_back_the_run_its_stages_and_where_the_result_lies(tmp_path):
    def prepare(options):
        stages, _ = toy(tmp_path / "run", [], options)
        return Run(Settings(), None, Choice("", "", ""), stages, options.resume)

    def work(run):
        for stage in run.stages.by_name.values():
            stage.outputs[0].write_text("made")

    table = [Command(name, "Do it.", work) for name in ("train", "report")]
    commands = recipe_commands(prepare, table, demo="All.", options_type=Options)
    trained = commands["train"](Options(runs=tmp_path))
    assert (trained.place, trained.values["state"]) == (tmp_path / "run" / "weights", "train done")
    made = commands["demo"](Options(runs=tmp_path, resume=True))
    assert made.place == tmp_path / "run" / "page"
    assert (made.values["run"], made.values["result"]) == (str(tmp_path / "run"), str(made.place))
    finished = {stage["name"]: stage["finished"] for stage in made.values["stages"]}
    assert finished == {"train": True, "report": True}
    assert all(stage["wall_seconds"] >= 0 for stage in made.values["stages"])
