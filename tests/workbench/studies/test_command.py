"""The command vistok-study, on a toy recipe."""

import json
import re
import sys
from importlib.util import find_spec

import pytest

from _support.mutants import catches
from _support.toy_studies import STUDY, runs  # noqa: F401  # a fixture
from vistok.workbench.config import ConfigError
from vistok.workbench.strict_yaml import write_yaml
from vistok.workbench.studies import command
from vistok.workbench.studies.command import (
    CorrelateOptions,
    PlanStudyOptions,
    RunStudyOptions,
    StudyOptions,
    asked,
    correlate_studies,
    main,
    plan_study,
    report_study,
    run_study,
)

SUBJECT = "vistok.workbench.studies.command"


def write(tmp_path, **changes):
    path = tmp_path / "toy.yaml"
    path.write_text(write_yaml(STUDY | {"seeds": [0, 1]} | changes))
    return path


@catches(SUBJECT, "options.runs / options.study.stem / name", "options.runs / name")
def test_a_study_runs_to_its_page_and_its_pages_are_made_again(tmp_path, runs):  # noqa: F811
    options = {"study": write(tmp_path), "runs": runs, "data": "digits"}
    run_study(RunStudyOptions(**options, jobs=2))
    folder = runs / "toy" / "digits"
    found = json.loads((folder / "study.json").read_text())
    assert [value["value"] for value in found["values"]] == [0.0, 20.0, 1.0, 21.0]
    before = found["values"]
    (folder / "study.json").unlink()
    report_study(StudyOptions(**options))
    assert json.loads((folder / "study.json").read_text())["values"] == before
    report_study(StudyOptions(**options, out=tmp_path / "elsewhere", only=("heavy",)))
    assert len(json.loads((tmp_path / "elsewhere" / "study.json").read_text())["values"]) == 2


@catches(SUBJECT, "        check_source(cell.run, options.runs)\n", "        pass\n")
@catches(SUBJECT, "for cell in to_run(cells, joined, options.runs):", "for cell in cells:")
def test_a_page_is_not_written_over_where_the_images_are_other_ones(tmp_path, runs, monkeypatch):  # noqa: F811
    (tmp_path / "images").mkdir()
    options = {"study": write(tmp_path, seeds=[0]), "runs": runs}
    page = run_study(RunStudyOptions(**options, data=str(tmp_path / "images"))).place.with_name("study.json")
    before = page.read_text()
    monkeypatch.chdir(runs)
    for run, own in ((report_study, StudyOptions), (plan_study, PlanStudyOptions)):
        with pytest.raises(ConfigError, match=f"data: expected images to be {tmp_path / 'images'}, .* got images; "):
            run(own(**options, data="images"))
    assert page.read_text() == before
    report_study(StudyOptions(**options, data="images", join=(page,)))  # which has all cells
    (tmp_path / "images").rmdir()
    report_study(StudyOptions(**options, data=f"images={tmp_path / 'images'}"))
    assert json.loads(page.read_text())["values"] == json.loads(before)["values"]


@catches(SUBJECT, "UNEXPECTED if failed else DONE", "DONE")
def test_a_failed_cell_ends_the_command_with_one_after_all_others(tmp_path, runs, caplog):  # noqa: F811
    path = write(tmp_path, rows={"bad": {"set": {"fail": 2}}, "good": {}}, seeds=[0])
    ended = run_study(RunStudyOptions(study=path, runs=runs))
    assert ended.code == 1
    assert [cell["state"] for cell in ended.values["cells"]] == ["failed", "finished"]
    assert caplog.messages[-1] == "vistok-study: 1 of 2 cells failed"
    found = json.loads((runs / "toy" / "data" / "study.json").read_text())
    assert [value["row"] for value in found["values"]] == ["good"]
    assert found["missing"][0][2].startswith("failed: toy: weight: expected a number (")


@catches(SUBJECT, "/ 60 / jobs", "/ 60")
@catches(SUBJECT, "left += outcome.state != FINISHED", "left += 1")
def test_a_plan_says_what_is_left_and_how_long_it_takes_and_runs_nothing(tmp_path, runs):  # noqa: F811
    path = write(tmp_path, seeds=[0, 1, 2])
    assert plan_study(RunStudyOptions(study=path, runs=runs)).text.splitlines()[-1] == "6 of 6 cells to run"
    assert list(runs.iterdir()) == []
    run_study(RunStudyOptions(study=path, runs=runs, seeds=(0,)))
    lines = plan_study(RunStudyOptions(study=path, runs=runs, jobs=2)).text.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["finished", "finished", "not"]
    # The toy recipe says that each cell took a minute.
    assert lines[-1] == "4 of 6 cells to run, about 2 minutes with 2 at a time, after the 2 that are finished"


@catches(SUBJECT, "return key.strip(), read_yaml(value)", "return key.strip(), value")
@catches(SUBJECT, "if any(seed < 0 for seed in options.seeds) or", "if")
@catches(SUBJECT, "or len(set(options.seeds)) < len(options.seeds)", "")
@catches(SUBJECT, "if not equals or not key:", "if False:")
def test_options_choose_cells_and_mistakes_are_told(tmp_path):
    path = write(tmp_path)
    _, data, cells = asked(StudyOptions(study=path, seeds=(7,), only=("heavy",), set=("weight=3", "a.b={c: 1}")))
    assert data is None
    assert [(cell.row, cell.run.seed, cell.run.set) for cell in cells] == [("heavy", 7, {"weight": 3, "a.b": {"c": 1}})]
    for options, message in [
        ({"seeds": (-1,)}, r"seeds: expected whole numbers from 0, each once, got \[-1\]"),
        ({"seeds": (0, 1, 0)}, r"seeds: expected whole numbers from 0, each once, got \[0, 1, 0\]"),
        ({"set": ("weight",)}, "set 'weight': expected key=value"),
        ({"set": ("a={",)}, "set 'a={': not valid YAML"),
    ]:
        with pytest.raises(ConfigError, match=message):
            asked(StudyOptions(study=path, **options))


@catches(SUBJECT, '("jobs", "threads")', '("jobs",)')
def test_no_jobs_and_no_threads_are_refused(tmp_path, runs):  # noqa: F811
    for options in ({"jobs": 0}, {"threads": 0}):
        with pytest.raises(ConfigError, match=r"(jobs|threads): expected at least 1, got 0"):
            run_study(RunStudyOptions(study=write(tmp_path), runs=runs, **options))
    with pytest.raises(ConfigError, match="jobs: expected at least 1, got 0"):
        plan_study(PlanStudyOptions(study=write(tmp_path), runs=runs, jobs=0))


@catches(SUBJECT, "    if options.set:\n        name +=", "    if False:\n        name +=")
@catches(SUBJECT, "plain_value(_overrides(options))", "options.set")
@catches(SUBJECT, "return options.out or", "return")
@catches(SUBJECT, "    return collect(opt", "    options = replace(options, set=())\n    return collect(opt")
def test_a_try_has_pages_of_its_own(tmp_path, runs):  # noqa: F811
    options = {"study": write(tmp_path), "runs": runs, "data": "digits"}
    for settings in ((), ("weight=3",), ("weight=3.0",), ("weight=4",)):
        report_study(StudyOptions(**options, set=settings))
    folders = sorted(path.name for path in (runs / "toy").iterdir())
    assert folders[0] == "digits"
    assert len(folders) == 3
    assert all(re.fullmatch(r"digits-try-[0-9a-f]{6}", name) for name in folders[1:])
    tries = [json.loads((runs / "toy" / name / "study.json").read_text())["try"] for name in folders]
    assert tries[0] == {}
    assert sorted(each["weight"] for each in tries[1:]) == [3, 4]
    report_study(StudyOptions(**options, set=("weight=5",), out=tmp_path / "mine"))
    assert (tmp_path / "mine" / "study.json").exists()
    assert len(list((runs / "toy").iterdir())) == 3


@catches(SUBJECT, "if len(rows) > 1)", "if len(rows) > 2)")
@catches(SUBJECT, "for cell in cells if options.set else ():", "for cell in cells:")
def test_rows_that_a_setting_makes_equal_are_told_once(tmp_path, caplog):
    asked(StudyOptions(study=write(tmp_path), set=("weight=2",)))
    assert caplog.messages == ["set: makes these rows one run, with equal numbers: base, heavy"]
    caplog.clear()
    asked(StudyOptions(study=write(tmp_path), set=("size=2",)))
    asked(StudyOptions(study=write(tmp_path, rows={"a": {}, "b": {}})))
    assert caplog.messages == []


@catches(SUBJECT, '"the same command"', '"--resume"')
@catches(SUBJECT, '", or cells failed"', '""')
def test_help_knows_no_option_that_there_is_not(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vistok-study", "--help"])
    with pytest.raises(SystemExit):
        main()
    shown = " ".join(capsys.readouterr().out.split())
    assert "--resume" not in shown
    assert "interrupted, the same command continues" in shown
    assert "in the file named, or cells failed; 2" in shown


@catches(SUBJECT, '"plan": plan_study', '"plan": report_study')
def test_the_command_line_is_read_and_errors_are_one_line(tmp_path, monkeypatch, capsys, caplog):
    path = write(tmp_path)
    words = ["plan", str(path), "--seeds", "3", "4", "--only", "heavy", "--set", "a=1", "--runs", str(tmp_path / "r")]
    monkeypatch.setattr(sys, "argv", ["vistok-study", *words])
    main()
    assert capsys.readouterr().out.splitlines()[-1] == "2 of 2 cells to run"
    monkeypatch.setattr(sys, "argv", ["vistok-study", "plan", str(path), "--only", "hevy"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert caplog.messages[-1] == "vistok-study: only: expected some of base, heavy, got 'hevy'"
    monkeypatch.setattr(sys, "argv", ["vistok-study", "plan", str(path), "--threads", "2"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2


def test_studies_are_correlated(tmp_path, runs):  # noqa: F811
    measures = {"score": {"path": "score"}, "gFID": {"path": "samples {samples}.distance"}}
    rows = {name: {"set": {"weight": weight}} for weight, name in enumerate("abc")}
    path = write(tmp_path, measures=measures, rows=rows, generators=["xar"])
    run_study(RunStudyOptions(study=path, runs=runs))
    correlate_studies(
        CorrelateOptions(folders=(runs,), predictors=("score",), outcomes=("gFID",), out=tmp_path / "out")
    )
    (entry,) = json.loads((tmp_path / "out" / "correlations.json").read_text())
    assert (entry["cells"], entry["rows"]) == (6, 3)


@catches(SUBJECT, "with own_modules():", "if True:")
def test_a_recipe_of_this_very_folder_is_found_and_no_trace_of_it_stays(tmp_path, monkeypatch):
    (tmp_path / "my_toy_recipe").mkdir()
    (tmp_path / "my_toy_recipe" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["elsewhere", *(entry for entry in sys.path if entry)])
    found = []
    monkeypatch.setattr(command, "run_command_line", lambda *_, **__: found.append(find_spec("my_toy_recipe")))
    main()
    assert found != [None]
    assert sys.path[0] == "elsewhere"
