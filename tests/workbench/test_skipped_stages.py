"""Stages that a demo leaves out."""

import logging

import pytest

from _support.mutants import catches
from _support.toy_stages import Options, Settings, toy
from vistok.workbench.command_line import run_stages
from vistok.workbench.config import ConfigError
from vistok.workbench.run.stages import Stage, Stages

SUBJECT = "vistok.workbench.command_line"
STAGES = "vistok.workbench.run.stages"


@catches(SUBJECT, "if stage.command not in names", "if stage.command in names")
@catches(SUBJECT, "fresh=False, skip=()", "fresh=False")
def test_stages_that_are_skipped_do_not_run_until_they_are_not(tmp_path, caplog):
    calls, folder = [], tmp_path / "run"
    stages, commands = toy(folder, calls)
    with caplog.at_level(logging.INFO):
        run_stages(Options(skip=("report",)), stages, commands)
        run_stages(Options(skip=("report",)), stages, commands)
    assert [name for name, _ in calls] == ["train"]
    assert caplog.messages[-1].startswith(f"finished earlier; open {folder / 'weights'}")
    run_stages(Options(resume=True), stages, commands)
    assert [name for name, _ in calls] == ["train", "report"]


@catches(SUBJECT, "if name not in commands:", "if False:")
@catches(SUBJECT, "if not left:", "if False:")
@catches(SUBJECT, "    if options.skip:", "    if False:")
def test_skipping_what_there_is_not_or_everything_or_in_one_command_is_refused(tmp_path):
    stages, commands = toy(tmp_path / "run", [])
    with pytest.raises(ConfigError, match="skip: expected some of train, report, got 'trian'"):
        run_stages(Options(skip=("trian",)), stages, commands)
    with pytest.raises(ConfigError, match="skip: expected to leave a stage over, got all of them"):
        run_stages(Options(skip=("report", "train")), stages, commands)
    with pytest.raises(ConfigError, match="skip: expected only with demo, got it with train"):
        commands["train"](Options(skip=("train",)))
    assert not (tmp_path / "run").exists()


def chain(folder, calls):
    """Four stages, of which each but the last needs the one before; the last only reads the third."""
    needs, reads = {"encode": ("train",), "draw": ("encode",)}, {"report": ("draw",)}
    listed = [
        Stage(name, (), (folder / f"{name}.txt",), needs=needs.get(name, ()), reads=reads.get(name, ()))
        for name in ("train", "encode", "draw", "report")
    ]
    stages = Stages("toy", "--name a", folder, Settings(), listed)

    def command(stage):
        def run(options):
            calls.append(stage.name)
            with stages.opened(stage, resume=options.resume, fresh=options.fresh):
                stage.outputs[0].write_text(stage.name)

        return run

    return stages, {stage.name: command(stage) for stage in listed}


@catches(SUBJECT, "_check_skipped(stages, everything, fresh=options.fresh)", "pass")
@catches(STAGES, "if name not in to_come):", "if name in to_come):")
@catches(STAGES, "if name not in to_come):", "):")
def test_a_stage_that_needs_a_skipped_one_is_told_before_the_first_runs(tmp_path):
    calls, folder = [], tmp_path / "run"
    stages, commands = chain(folder, calls)
    for skip, missing in (("encode",), "encode"), (("train", "encode"), "train"), (("train",), "train"):
        with pytest.raises(ConfigError, match=rf"{missing}\.txt is missing; run toy {missing} --name a first$"):
            run_stages(Options(skip=skip), stages, commands)
    assert calls == []
    assert not folder.exists()
    run_stages(Options(skip=("encode", "draw")), stages, commands)
    assert calls == ["train", "report"]


@catches(SUBJECT, "if skipped and not stages.is_done(stage):", "if skipped:")
@catches(SUBJECT, "if name not in to_come]", "if name in stage.needs and name not in to_come]")
@catches(SUBJECT, "if skipped and fresh:", "if fresh and not all(map(stages.is_done, left)):")
def test_a_skipped_stage_that_is_done_is_there_for_others_but_not_for_a_fresh_run(tmp_path):
    calls, folder = [], tmp_path / "run"
    stages, commands = chain(folder, calls)
    run_stages(Options(skip=("draw", "report")), stages, commands)
    run_stages(Options(skip=("train", "encode"), resume=True), stages, commands)
    assert calls == ["train", "encode", "draw", "report"]
    with pytest.raises(ConfigError, match="skip: draw needs encode, of which --fresh leaves nothing"):
        run_stages(Options(skip=("encode",), fresh=True), stages, commands)
    assert (folder / "encode.txt").exists()
    (folder / "encode.txt").unlink()  # nothing that is left to do needs it
    (folder / "report.txt").unlink()
    run_stages(Options(skip=("encode",), resume=True), stages, commands)
    assert calls == ["train", "encode", "draw", "report", "report"]
    (folder / "encode.txt").write_text("encode")
    for name in ("train", "draw"):
        (folder / f"{name}.txt").unlink()
    with pytest.raises(ConfigError, match=r"train\.txt: missing, or not as train wrote it; run toy train"):
        run_stages(Options(skip=("train", "report"), resume=True), stages, commands)
    assert calls == ["train", "encode", "draw", "report", "report"]
