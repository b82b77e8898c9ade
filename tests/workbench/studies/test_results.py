"""What is there of a study: values, differences, what is missing, and all of it as JSON."""

import json
from pathlib import Path

import pytest

from _support.mutants import catches
from _support.toy_studies import STUDY
from vistok.workbench.studies.cells import Data, cells_of
from vistok.workbench.studies.outcomes import FAILED, FINISHED, Outcome, keep_outcome, log_file
from vistok.workbench.studies.results import as_json, collect
from vistok.workbench.studies.schema import Study

SUBJECT = "vistok.workbench.studies.results"
DATA = Data("digits", "digits")


def results(runs, scores, **changes):
    """A study whose cells are finished with these scores, by row and seed; None: failed."""
    study = Study.model_validate(STUDY | {"reference": "base"} | changes)
    cells = cells_of(study, Path(), data=DATA)
    for cell in cells:
        if (cell.row, cell.run.seed) not in scores:
            continue
        score = scores[cell.row, cell.run.seed]
        folder = runs / cell.run.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.json").write_text(json.dumps(score))
        keep_outcome(cell, runs, Outcome(FAILED, "toy: broken", 1) if score is None else Outcome(FINISHED, threads=1))
    return collect("mine", study, DATA, cells, runs)


FULL = {(row, seed): {"score": seed + add} for row, add in (("base", 0), ("heavy", 20)) for seed in (0, 1)}


@catches(
    SUBJECT,
    "paired_difference(self.values[row][column], self.values[reference][column])",
    "paired_difference(self.values[reference][column], self.values[row][column])",
)
@catches(SUBJECT, "or row == reference", "")
def test_a_row_is_compared_with_the_reference_seed_by_seed(tmp_path):
    found = results(tmp_path, FULL)
    assert found.rows == ["base", "heavy"]
    assert found.summary("base", "score").mean == 0.5
    assert found.difference("heavy", "score").mean == 20
    assert found.difference("heavy", "score").deviation == 0
    assert found.difference("base", "score") is None
    assert found.missing() == []


@catches(SUBJECT, "or reference not in self.values", "")
def test_without_the_reference_there_are_no_differences(tmp_path):
    found = results(tmp_path, FULL)
    only = collect("mine", found.study, DATA, [cell for cell in found.cells if cell.row == "heavy"], tmp_path)
    assert only.difference("heavy", "score") is None
    assert only.rows == ["heavy"]


@catches(SUBJECT, "if cell.run.seed not in values]", "if not values]")
@catches(SUBJECT, "f\": {outcome.error}{f' ({log})' if log.exists() else ''}\" if outcome.error else \"\"", '""')
@catches(SUBJECT, "if log.exists() else ''", "if True else ''")
@catches(SUBJECT, "[name for name in absent if self._is_measured(name, cell)]", "absent")
def test_what_is_missing_is_named_with_its_reason(tmp_path):
    scores = {("base", 0): {"score": 1.0}, ("base", 1): {"left out": {}}, ("heavy", 0): None}
    measures = STUDY["measures"] | {"other": {"path": {"semtok": "other"}}}
    found = results(tmp_path, scores, measures=measures)
    missing = {(row, seed): what for row, seed, what in found.missing()}
    assert missing.keys() == {("base", 1), ("heavy", 0), ("heavy", 1)}
    assert missing["base", 1] == "no number for score"
    assert missing["heavy", 0] == "failed: toy: broken"
    log = log_file(found.cells[1], tmp_path)
    log.write_text("toy: broken")
    assert found.missing()[0] == ("heavy", 0, f"failed: toy: broken ({log})")
    assert missing["heavy", 1] == "not finished"
    assert found.summary("heavy", "score") is None


@catches(SUBJECT, "generator = cell.generators[0]", "pass")
@catches(SUBJECT, "if cell.run.seed in results.values[cell.row][column]", "if column in results.values[cell.row]")
def test_the_file_holds_every_value_with_what_made_it(tmp_path):
    measures = STUDY["measures"] | {"gFID": {"path": "samples {samples}.d"}}
    scores = {("base", 0): {"score": 1.0, "samples net": {"d": 3.0}}, ("heavy", 0): {"score": 2.0}}
    found = as_json(results(tmp_path, scores, measures=measures, generators=["net"]))
    assert json.loads(json.dumps(found)) == json.loads(json.dumps(found, sort_keys=True))
    assert found["values"] == [
        {"row": "base", "seed": 0, "measure": "score", "generator": None, "value": 1.0},
        {"row": "base", "seed": 0, "measure": "gFID", "generator": "net", "value": 3.0},
        {"row": "heavy", "seed": 0, "measure": "score", "generator": None, "value": 2.0},
    ]
    assert found["differences"]["heavy"]["score"]["mean"] == 1.0
    assert found["summary"]["heavy"] == {"score": {"num": 1, "mean": 2.0, "deviation": None, "interval": None}}
    first = found["cells"][0]
    assert (first["row"], first["seed"], first["state"], first["set"]) == ("base", 0, "finished", {})
    assert found["data"] == "digits"
    assert found["environment"]["versions"]["torch"]
    assert {"command", "cores"} <= found["environment"].keys()


def test_several_generators_have_values_of_their_own(tmp_path):
    measures = {"gFID": {"path": "samples {samples}.d"}}
    scores = {("base", 0): {"samples a": {"d": 1.0}, "samples b": {"d": 2.0}}}
    found = as_json(results(tmp_path, scores, measures=measures, generators=["a", "b"], rows={"base": {}}))
    assert [(value["generator"], value["value"]) for value in found["values"]] == [("a", 1.0), ("b", 2.0)]
    assert found["summary"]["base"]["gFID b"]["mean"] == pytest.approx(2.0)
