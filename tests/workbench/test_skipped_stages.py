"""Stages that a demo leaves out."""

import logging

import pytest

from _support.mutants import catches
from _support.toy_stages import Options, toy
from vistok.workbench.command_line import run_stages
from vistok.workbench.config import ConfigError

SUBJECT = "vistok.workbench.command_line"


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
