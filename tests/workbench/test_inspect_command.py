"""The page is a stage: it needs what it reads, is no part of the demo, and the report is written again with a link."""

import pytest
import torch

from _support.few_tokens import few_codes, few_images, few_tokens, painted
from _support.mutants import catches
from _support.toy_stages import Options, Settings
from vistok.workbench.command_line import Run, run_stages
from vistok.workbench.config import ConfigError
from vistok.workbench.inspect_command import InspectOptions, inspect_command
from vistok.workbench.inspection.contents import Inspection, whole_book
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.stages import Stage, Stages

SUBJECT = "vistok.workbench.inspect_command"


def recipe(tmp_path):
    """A run of three stages, and its command; the report says what it links to."""
    folder = tmp_path / "mine"
    paths = RunPaths(folder)
    listed = [
        Stage("reconstruct", ("steps",), (folder / "tokens.json",)),
        Stage("inspect", (), (paths.inspection,), needs=("reconstruct",)),
        Stage("report.first", (), (paths.report(),), needs=("reconstruct",), reads=("inspect",)),
    ]

    def prepare(options):
        stages = Stages("toy", options.hint(), folder, Settings(), listed)
        return Run(Settings(), paths, Choice("a", "b", "first"), stages, options.resume)

    def gather(run):
        return Inspection(
            "few", (), few_images(), torch.tensor([0]), [whole_book("a", few_tokens(), few_codes())], painted
        )

    def report(run):
        paths.report().write_text(f"linked: {paths.inspection.exists()}")

    def alone(name, work):
        def command(options):
            stages = prepare(options).stages
            with stages.opened(stages.by_name[name], resume=options.resume, fresh=options.fresh):
                work(None)

        return command

    commands = {
        "reconstruct": alone("reconstruct", lambda run: (folder / "tokens.json").write_text("{}")),
        "report": alone("report.first", report),
    }
    command = inspect_command(prepare, gather, lambda run: None, report)["inspect"]
    return command, commands, prepare(Options(name="mine")).stages, paths


@catches("vistok.workbench.command_line", "if stage.command in commands]", "]")
@catches(SUBJECT, "if reported:", "if not reported:")
def test_the_report_of_a_finished_run_is_written_again_with_its_link(tmp_path):
    command, commands, stages, paths = recipe(tmp_path)
    run_stages(Options(name="mine"), stages, commands)
    assert paths.report().read_text() == "linked: False"
    assert not paths.inspection.exists()
    command(InspectOptions(name="mine"))
    assert paths.report().read_text() == "linked: True"
    assert all(stages.is_done(stage) for stage in stages.by_name.values())
    before = paths.inspection.read_bytes()
    command(InspectOptions(name="mine", fresh=True))
    assert paths.inspection.read_bytes() == before
    assert all(stages.is_done(stage) for stage in stages.by_name.values())


@catches(SUBJECT, "with opened_stage(plain, stages, stage):", "if True:")
def test_without_what_it_reads_nothing_is_written_and_the_command_to_run_is_named(tmp_path):
    command, commands, _, paths = recipe(tmp_path)
    with pytest.raises(ConfigError, match=r"tokens.json is missing; run toy reconstruct --name mine first"):
        command(InspectOptions(name="mine"))
    assert not paths.folder.exists()
    commands["reconstruct"](Options(name="mine"))
    command(InspectOptions(name="mine"))
    assert paths.inspection.exists()
    assert not paths.report().exists()


@catches(SUBJECT, "stages.check_done(stages.by_name[name])", "pass")
@catches(SUBJECT, "editor_app(open_editor(run)).launch()", "pass")
def test_the_app_starts_for_a_run_whose_tokens_are_there(tmp_path, monkeypatch):
    command, commands, _, paths = recipe(tmp_path)
    launched = []

    class App:
        def launch(self):
            launched.append(True)

    monkeypatch.setitem(command.__globals__, "load_gradio", lambda: None)
    monkeypatch.setitem(command.__globals__, "editor_app", lambda editor: App())
    with pytest.raises(ConfigError, match="run toy reconstruct --name mine first"):
        command(InspectOptions(name="mine", serve=True))
    commands["reconstruct"](Options(name="mine"))
    command(InspectOptions(name="mine", serve=True))
    assert launched == [True]
    assert not paths.inspection.exists()
