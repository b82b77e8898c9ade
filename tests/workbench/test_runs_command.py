"""The list of runs says how far each is, what it took and how good it is."""

import json

import pytest

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.run.folder import mark_run
from vistok.workbench.run.lock import run_lock
from vistok.workbench.run.records import Record, Records
from vistok.workbench.runs_command import RunsOptions, runs_command, summarise_run

SUBJECT = "vistok.workbench.runs_command"
DONE = {"out": "0" * 64}


def run_of(folder, *records, evaluation=None, maker="toy"):
    mark_run(folder, maker)
    for record in records:
        (folder / "stages").mkdir(exist_ok=True)
        Records(folder).write(record)
    if evaluation is not None:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


@catches(SUBJECT, "if is_locked(folder):", "if False:")
@catches(SUBJECT, "if not record.outputs", "if record.outputs")
@catches(SUBJECT, 'name.startswith("report.")', 'name.startswith("reports")')
@catches(SUBJECT, "state=_state(folder, records)", 'state="finished"')
def test_the_state_is_told_from_what_the_folder_holds(tmp_path):
    trained, stopped = Record("train", [], {}, DONE), Record("encode", ["train"], {})
    finished = Record("report.default", [], {}, DONE)
    for name, records, state in (
        ("half", (trained,), "train done"),
        ("cut", (trained, stopped), "stopped in encode"),
        ("whole", (trained, finished), "finished"),
        ("bundle", (), "exported"),
    ):
        assert summarise_run(run_of(tmp_path / name, *records)).state == state
    with run_lock(tmp_path / "cut"):
        assert summarise_run(tmp_path / "cut").state == "working: encode"
    assert summarise_run(tmp_path / "cut").state == "stopped in encode"


@catches(SUBJECT, "record.cost.get(WALL, 0.0) for record", "1.0 for record")
@catches(SUBJECT, "/ 60", "/ 3600")
@catches(SUBJECT, '_TOKENIZER = ("refined", "reconstruction")', '_TOKENIZER = ("reconstruction",)')
@catches(SUBJECT, 'key.startswith("samples ")', 'key.startswith("real")')
@catches(SUBJECT, 'distance=tokenizer.get("frechet_distance")', 'distance=samples.get("frechet_distance")')
def test_time_adds_up_and_measures_are_the_evaluations(tmp_path):
    records = [Record(name, [], {}, DONE, cost={"wall_seconds": 90.0, "cpu_seconds": 1.0}) for name in ("a", "b")]
    measures = {
        "real images": {"frechet_distance": 1.0},
        "refined": {"psnr": 22.5, "frechet_distance": 60.0},
        "samples xar": {"frechet_distance": 70.0, "recognised": 0.95},
        "samples far": {"frechet_distance": 80.0, "recognised": 0.5},
    }
    found = summarise_run(run_of(tmp_path / "mine", *records, evaluation=measures))
    assert (found.name, found.recipe, found.minutes) == ("mine", "toy", 3.0)
    assert (found.psnr, found.distance, found.samples_distance, found.recognised) == (22.5, 60.0, 70.0, 0.95)


@catches(SUBJECT, "if is_run(folder)", "if folder.is_dir()")
@catches(SUBJECT, "if options.json else", "if not options.json else")
@catches(SUBJECT, "if not options.runs.is_dir():", "if False:")
def test_it_prints_a_table_or_json_of_the_runs_and_of_nothing_else(tmp_path, capsys):
    run_of(tmp_path / "b", Record("report.default", [], {}, DONE), evaluation={"reconstruction": {"psnr": 27.35}})
    run_of(tmp_path / "a", maker="other")
    (tmp_path / "no run").mkdir()
    command = runs_command()["runs"]
    command(RunsOptions(runs=tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[:3]] == [
        ["run", "recipe", "state"],
        ["a", "other", "exported"],
        ["b", "toy", "finished"],
    ]
    assert "27.35" in lines[2]
    command(RunsOptions(runs=tmp_path, json=True))
    assert [run["name"] for run in json.loads(capsys.readouterr().out)] == ["a", "b"]
    (tmp_path / "empty").mkdir()
    command(RunsOptions(runs=tmp_path / "empty"))
    assert capsys.readouterr().out == "no runs\n"
    with pytest.raises(ConfigError, match="missing, which is none"):
        command(RunsOptions(runs=tmp_path / "missing"))
