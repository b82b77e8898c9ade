"""The list of runs says how far each is, what it took and how good it is."""

import json

import pytest

from _support.mutants import catches
from _support.run_folders import DONE, run_of
from vistok.workbench.config import ConfigError
from vistok.workbench.output import OutputOptions
from vistok.workbench.run.records import Record
from vistok.workbench.runs_command import RunsOptions, runs_command

SUBJECT = "vistok.workbench.runs_command"
MEASURED = {"reconstruction": {"psnr": 27.35, "mean_absolute_error": 9.0}}


@catches(SUBJECT, "if is_run(folder)", "if folder.is_dir()")
@catches(SUBJECT, "[asdict(run) for run in found]", "[]")
@catches(SUBJECT, "if not options.runs.is_dir():", "if False:")
def test_it_gives_a_table_and_plain_values_of_the_runs_and_of_nothing_else(tmp_path):
    run_of(tmp_path / "b", Record("report.default", [], {}, DONE), evaluation=MEASURED)
    run_of(tmp_path / "a", maker="other")
    (tmp_path / "no run").mkdir()
    command = runs_command()["runs"]
    made = command(RunsOptions(runs=tmp_path))
    lines = made.text.splitlines()
    assert [line.split()[:3] for line in lines[:3]] == [
        ["run", "recipe", "state"],
        ["a", "other", "exported"],
        ["b", "toy", "finished"],
    ]
    assert "27.35" in lines[2]
    assert [run["name"] for run in made.values["runs"]] == ["a", "b"]
    (tmp_path / "empty").mkdir()
    assert command(RunsOptions(runs=tmp_path / "empty")).text == "no runs"
    with pytest.raises(ConfigError, match="missing, which is none"):
        command(RunsOptions(runs=tmp_path / "missing"))


@catches(SUBJECT, "except ValueError as error:", "except UnicodeError as error:")
@catches(SUBJECT, 'logger.warning("runs: %s", error)', "pass")
def test_a_damaged_run_and_one_of_a_newer_version_are_shown_as_such_beside_the_others(tmp_path, caplog):
    for name in "abcde":
        run_of(tmp_path / name, Record("train", [], {}, DONE))
    record = json.loads((tmp_path / "a" / "stages" / "train.json").read_text())
    (tmp_path / "a" / "stages" / "train.json").write_text("{")
    (tmp_path / "b" / "stages" / "train.json").write_text(json.dumps(record | {"later": 1}))
    (tmp_path / "c" / "vistok-run.json").write_text("[]")
    (tmp_path / "d" / "evaluation.json").write_bytes(b"\xff")
    made = runs_command()["runs"](RunsOptions(runs=tmp_path))
    states = {run["name"]: run["state"] for run in made.values["runs"]}
    assert states == {**dict.fromkeys("abcd", "damaged"), "e": "train done"}
    assert made.text.splitlines()[1].split() == ["a", "damaged", "0.0"]
    assert len(caplog.messages) == 4
    files = ("a/stages/train.json", "b/stages/train.json", "c/vistok-run.json", "d/evaluation.json")
    for line, file in zip(caplog.messages, files, strict=True):
        assert line.startswith(f"runs: {tmp_path / file}: damaged")


@catches("vistok.workbench.output", "to_json(self.values, indent=2, ensure_ascii=False)", "str(self.values)")
def test_an_infinite_measure_is_printed_as_json_for_every_reader(tmp_path):
    perfect = {"reconstruction": {"psnr": "inf", "mean_absolute_error": 0.0}}
    run_of(tmp_path / "a", Record("train", [], {}, DONE), evaluation=perfect)
    made = runs_command()["runs"](RunsOptions(runs=tmp_path))
    assert "∞" in made.text
    printed = json.loads(made.shown(OutputOptions(json=True)), parse_constant=pytest.fail)
    assert printed["runs"][0]["psnr"] == "inf"
