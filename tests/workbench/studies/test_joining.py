"""Cells that other machines made: their numbers, costs and origins on one page, and none of them made once more."""

import json
from pathlib import Path

import pytest

from _support.mutants import catches
from _support.toy_studies import STUDY, runs  # noqa: F401  # a fixture
from vistok.workbench.config import ConfigError
from vistok.workbench.strict_yaml import write_yaml
from vistok.workbench.studies.cells import cells_of
from vistok.workbench.studies.command import RunStudyOptions, StudyOptions, plan_study, report_study, run_study, to_run
from vistok.workbench.studies.joining import read_joined
from vistok.workbench.studies.outcomes import FAILED, FINISHED, Outcome, keep_outcome
from vistok.workbench.studies.schema import Study

SUBJECT = "vistok.workbench.studies.joining"
COMMAND = "vistok.workbench.studies.command"
RESULTS = "vistok.workbench.studies.results"
COST = {"wall_seconds": 120.0, "cpu_seconds": 90.0, "peak_memory_bytes": 2**31}


def write(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(write_yaml(STUDY | {"costs": ["evaluate"], "reference": "base"}))
    return path


def made_elsewhere(tmp_path, path, **changes):
    """The file of another machine that made seed 2, in twice the time of ours."""
    run_study(RunStudyOptions(study=path, runs=tmp_path / "there", seeds=(2,), out=tmp_path / "seed-2", threads=4))
    file = tmp_path / "seed-2" / "study.json"
    found = json.loads(file.read_text())
    found["environment"]["processor"] = "another processor"
    found |= {"commit": "a1b2c3"} | changes
    for cell in found["cells"]:
        cell["stages"]["evaluate.default"] = COST
    file.write_text(json.dumps(found))
    return file


def toy(**changes):
    study = Study.model_validate(STUDY | {"seeds": (0,)} | changes)
    return study, cells_of(study, Path(), data=None)


def study_file(path, cells, score, **changes):
    """A study.json with the cells, all finished, with the same score and one of the samples of each generator."""
    entries, values = [], []
    for cell in cells:
        asked = {"generators": cell.generators, "samples": cell.samples, "evaluation": cell.evaluation}
        ended = {"state": FINISHED, "threads": 1, "stages": {"train": COST}}
        where = {"row": cell.row, "seed": cell.run.seed}
        entries.append(where | {"folder": cell.run.name} | asked | ended | changes)
        values.append(where | {"measure": "score", "generator": None, "value": score})
        for number, generator in enumerate(cell.generators):
            values.append(where | {"measure": "gFID", "generator": generator, "value": score + number})
    found = {"cells": entries, "values": values, "environment": {"processor": path.stem}, "commit": None}
    path.write_text(json.dumps(found))
    return path


@catches(COMMAND, "if joined.of(cell) is None or", "if True or")
@catches(RESULTS, "costs.append(elsewhere.costs)", "costs.append(stage_costs(cell, runs))")
@catches(RESULTS, "outcomes.append(elsewhere.outcome)", "outcomes.append(here)")
@catches(RESULTS, "            values[cell.row][column][cell.run.seed] = value", "            pass")
@catches(RESULTS, '"joined": results.origins', '"joined": []')
@catches(SUBJECT, 'threads=cell["threads"]', "threads=None")
@catches("vistok.workbench.studies.pages", "for origin in results.origins:", "for origin in ():")
def test_seeds_of_two_machines_are_one_study_and_none_runs_twice(tmp_path, runs):  # noqa: F811
    path = write(tmp_path)
    file = made_elsewhere(tmp_path, path)
    options = {"study": path, "runs": runs, "seeds": (0, 1, 2), "join": (file,)}
    assert plan_study(RunStudyOptions(**options)).text.splitlines()[-1].startswith("4 of 6 cells to run, about")
    assert run_study(RunStudyOptions(**options)).code == 0
    assert {line.split()[1].rpartition("-s")[2][0] for line in (runs / "calls").read_text().splitlines()} == {"0", "1"}
    assert not list(runs.glob("*-s2-*"))

    found = json.loads((runs / "toy" / "data" / "study.json").read_text())
    numbers = {(value["row"], value["seed"]): value["value"] for value in found["values"]}
    assert numbers == {(row, seed): seed + add for row, add in (("base", 0), ("heavy", 20)) for seed in (0, 1, 2)}
    assert found["differences"]["heavy"]["score"]["num"] == 3
    assert found["missing"] == []
    ended = [(cell["seed"], cell["state"], cell["threads"], cell["cost"]["wall_seconds"]) for cell in found["cells"]]
    assert ended[::2] == [(0, FINISHED, 1, 60.0), (1, FINISHED, 1, 60.0), (2, FINISHED, 4, 120.0)]
    other = json.loads(file.read_text())
    assert found["joined"] == [{"environment": other["environment"], "commit": "a1b2c3"}]
    page = (runs / "toy" / "data" / "study.md").read_text()
    assert "| base | 3 | 1.333 | 0.8333 | 1.333 |" in page  # minutes, the processors' minutes, GiB
    assert "cells made elsewhere | another processor" in page
    assert "a1b2c3" in page


@catches(RESULTS, "elsewhere is None or here.state == FINISHED", "elsewhere is None")
def test_a_cell_that_is_finished_here_wins(tmp_path, runs):  # noqa: F811
    path = write(tmp_path)
    run_study(RunStudyOptions(study=path, runs=runs, seeds=(2,), only=("base",)))
    file = made_elsewhere(tmp_path, path)
    found = json.loads(file.read_text())
    file.write_text(json.dumps(found | {"values": [value | {"value": 99.0} for value in found["values"]]}))
    report_study(StudyOptions(study=path, runs=runs, seeds=(2,), join=(file,)))
    page = json.loads((runs / "toy" / "data" / "study.json").read_text())
    assert [(value["row"], value["value"]) for value in page["values"]] == [("base", 2.0), ("heavy", 99.0)]


@catches(SUBJECT, "made = mine | made", "made |= mine")
@catches(SUBJECT, 'cell["state"] == FINISHED and', "")
def test_of_two_files_the_first_with_the_cell_finished_is_heard(tmp_path):
    study, cells = toy()
    failed = study_file(tmp_path / "failed.json", cells[:1], 1.0, state=FAILED)
    found = json.loads(failed.read_text())
    found["cells"] += json.loads(study_file(tmp_path / "other.json", cells[1:], 1.0).read_text())["cells"]
    failed.write_text(json.dumps(found))
    files = [failed, *(study_file(tmp_path / f"{score}.json", cells, score) for score in (2.0, 3.0))]
    joined = read_joined(files, study, cells)
    assert joined.of(cells[0]).values == {"score": 2.0}
    assert joined.of(cells[0]).outcome == Outcome(FINISHED, threads=1)
    assert joined.of(cells[0]).costs == {"train": COST}


@catches(SUBJECT, "if not mine:", "if False:")
def test_a_file_with_none_of_the_cells_is_an_error(tmp_path):
    study, cells = toy()
    _, others = toy(seeds=(5,))
    ours, theirs = (study_file(tmp_path / f"{name}.json", them, 1.0) for name, them in (("a", cells), ("b", others)))
    with pytest.raises(ConfigError, match=r"join: expected finished cells of this study, .*b\.json has none"):
        read_joined([ours, theirs], study, cells)
    assert read_joined([], study, cells).cells == {}


@catches(SUBJECT, 'and generator in (None, value["generator"])', "")
@catches(SUBJECT, 'tuple(cell["generators"])', "()")
def test_the_numbers_of_several_generators_have_their_columns(tmp_path):
    measures = STUDY["measures"] | {"gFID": {"path": "samples {samples}.d"}}
    study, cells = toy(measures=measures, generators=["a", "b"])
    joined = read_joined([study_file(tmp_path / "several.json", cells, 4.0)], study, cells)
    assert joined.of(cells[0]).values == {"score": 4.0, "gFID a": 4.0, "gFID b": 5.0}
    study, cells = toy(measures=measures, generators=["a"])
    joined = read_joined([study_file(tmp_path / "one.json", cells, 4.0)], study, cells)
    assert joined.of(cells[1]).values == {"score": 4.0, "gFID": 4.0}


@catches(SUBJECT, '*found.get("joined", [])]', "]")
def test_what_a_file_had_joined_itself_passes_on_where_it_comes_from(tmp_path):
    study, cells = toy()
    file = study_file(tmp_path / "second.json", cells, 1.0)
    third = {"environment": {"processor": "third"}, "commit": "c3"}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"joined": [third]}))
    first = study_file(tmp_path / "first.json", cells, 1.0)  # of a time when there was no such key
    origins = read_joined([first, file], study, cells).origins
    assert [origin["environment"]["processor"] for origin in origins] == ["first", "second", "third"]
    assert origins[-1] == third


@catches(SUBJECT, "and is_as_shipped(asked[key], shipped)", "")
@catches(SUBJECT, 'shipped = cell.get("shipped")', "shipped = None")
def test_a_cell_of_another_shipped_configuration_is_not_joined(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "joinable" / "configs").mkdir(parents=True)
    (tmp_path / "joinable" / "configs" / "any.yaml").write_text("steps: 100")
    study, cells = toy(recipe="joinable")
    file = study_file(tmp_path / "same.json", cells, 1.0, shipped=cells[0].shipped)
    joined = read_joined([file, study_file(tmp_path / "before.json", cells, 1.0)], study, cells)
    assert joined.of(cells[0]).outcome.shipped == cells[0].shipped is not None
    with pytest.raises(ConfigError, match="join: expected finished cells"):
        read_joined([study_file(tmp_path / "changed.json", cells, 1.0, shipped="0123456789")], study, cells)


@catches(COMMAND, "or cell.run.name in needed", "")
@catches(COMMAND, "if joined.of(cell) is None and read_outcome(cell, runs).state != FINISHED]", "]")
def test_a_joined_run_that_an_unfinished_cell_reads_from_is_made_here(tmp_path):
    study, cells = toy(rows={"base": {}, "other": {"set": {"a": 1}}, "learner": {"set": {"b": "{run of base}/w"}}})
    base, other, learner = cells
    joined = read_joined([study_file(tmp_path / "a.json", [base, other], 1.0)], study, cells)
    assert to_run(cells, joined, tmp_path) == [base, learner]
    keep_outcome(learner, tmp_path, Outcome(FINISHED))
    assert to_run(cells, joined, tmp_path) == [learner]
