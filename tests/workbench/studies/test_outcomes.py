"""How a cell ended, what it cost, and the numbers of its evaluation."""

import json
from pathlib import Path

import pytest

from _support.mutants import catches
from _support.toy_studies import STUDY
from vistok.workbench.run.files import sha256
from vistok.workbench.run.records import Record, Records
from vistok.workbench.studies.cells import Cell, Run, cells_of
from vistok.workbench.studies.outcomes import (
    FAILED,
    FINISHED,
    OPEN,
    Outcome,
    keep_outcome,
    last_line,
    read_outcome,
    read_value,
    read_values,
    stage_costs,
    total_cost,
)
from vistok.workbench.studies.schema import Measure, Study

SUBJECT = "vistok.workbench.studies.outcomes"


def cell(*, generators=(), samples=None, evaluation=None, skip=(), recipe="toy"):
    return Cell("row", Run(recipe, "any", None, 0, {}), generators, samples, evaluation, skip)


def write_evaluation(runs, of, measures, name="evaluation.json"):
    path = runs / of.run.name / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(measures))
    return path


@catches(SUBJECT, 'f"{cell.request}.json"', '"outcome.json"')
def test_an_outcome_is_kept_for_its_request(tmp_path):
    assert read_outcome(cell(), tmp_path) == Outcome(OPEN)
    keep_outcome(cell(), tmp_path, Outcome(FAILED, "no memory", 2))
    keep_outcome(cell(generators=("far",)), tmp_path, Outcome(FINISHED, threads=1))
    assert read_outcome(cell(), tmp_path) == Outcome(FAILED, "no memory", 2)
    assert read_outcome(cell(generators=("far",)), tmp_path).state == FINISHED
    assert read_outcome(cell(evaluation="fid"), tmp_path).state == OPEN


@catches(SUBJECT, "records.damaged(record) is None for record in made", "record.outputs for record in made")
def test_a_cell_whose_evaluation_is_not_what_the_recipe_wrote_is_open_again(tmp_path):
    path = write_evaluation(tmp_path, cell(), {"score": 1})
    Records(path.parent).write(Record("evaluate", [], {}, {"evaluation.json": sha256(path)}))
    keep_outcome(cell(), tmp_path, Outcome(FINISHED))
    assert read_outcome(cell(), tmp_path).state == FINISHED
    path.write_text("{}")
    assert read_outcome(cell(), tmp_path).state == OPEN


@catches(SUBJECT, "return shipped in (None, cell.shipped)", "return True")
@catches(SUBJECT, "outcome._replace(shipped=cell.shipped)", "outcome")
@catches(SUBJECT, '"state", "error", "threads")', "*Outcome._fields)")
def test_a_finished_cell_whose_shipped_configuration_has_changed_is_open_again(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    config = tmp_path / "changeable" / "configs" / "any.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("steps: 100")
    keep_outcome(cell(recipe="changeable"), tmp_path, Outcome(FINISHED, threads=1))
    assert read_outcome(cell(recipe="changeable"), tmp_path).state == FINISHED
    config.write_text("steps: 100  # as before")
    assert read_outcome(cell(recipe="changeable"), tmp_path).state == FINISHED
    config.write_text("steps: 200")
    assert read_outcome(cell(recipe="changeable"), tmp_path) == Outcome(OPEN)
    (before,) = tmp_path.glob("changeable-*/study/*.json")  # what was written when nothing was known of it
    before.write_text('{"state": "finished", "error": "", "threads": 1}')
    assert read_outcome(cell(recipe="changeable"), tmp_path) == Outcome(FINISHED, threads=1)


@catches(SUBJECT, 'text.replace("\\r", "\\n")', "text")
@catches(SUBJECT, "reversed(lines)", "lines")
@pytest.mark.parametrize("begin", ["", "x" * 100_000 + "\n"])
def test_the_last_line_of_a_log_is_the_last_that_says_something(tmp_path, begin):
    log = tmp_path / "output.log"
    log.write_text(f"{begin}first\nstep 1\rstep 2\rtoy: broken\n\n \n")
    assert last_line(log) == "toy: broken"
    log.write_text("\r\n")
    assert last_line(log) == "no output"
    log.write_text("step 1\rstep 2")
    assert last_line(log) == "step 2"


@catches(SUBJECT, "generator or next(iter(cell.generators), None)", "next(iter(cell.generators), None)")
@catches(SUBJECT, "sample_label(drawn_from, cell.samples or DEFAULT)", "drawn_from")
@catches(SUBJECT, "and not isinstance(value, bool)", "")
def test_a_measure_is_found_by_its_path(tmp_path):
    drawn = {"samples xar": {"d": 1.0}, "samples far": {"d": 2}, "samples xar, few": {"d": 3.0}}
    one, few = cell(generators=("xar", "far")), cell(generators=("xar",), samples="few")
    write_evaluation(tmp_path, one, {"a": {"b c": 4.5, "none": None, "yes": True, "text": "1"}, **drawn})
    samples = Measure(path="samples {samples}.d")
    assert read_value(one, tmp_path, samples, None) == 1.0
    assert read_value(one, tmp_path, samples, "far") == 2.0
    assert read_value(few, tmp_path, samples, None) == 3.0
    for path, value in [
        ("a.b c", 4.5),
        ("a.none", None),
        ("a.yes", None),
        ("a.text", None),
        ("a", None),
        ("a.b c.d", None),
    ]:
        assert read_value(one, tmp_path, Measure(path=path), None) == value, path


@catches(SUBJECT, "math.isfinite(value)", "True")
def test_what_is_not_finite_is_no_number(tmp_path):
    write_evaluation(tmp_path, cell(), {"a": float("nan"), "b": float("inf")})
    assert read_value(cell(), tmp_path, Measure(path="a"), None) is None
    assert read_value(cell(), tmp_path, Measure(path="b"), None) is None


@catches(SUBJECT, ".evaluation(cell.evaluation or DEFAULT)\n    if path", ".evaluation()\n    if path")
def test_numbers_come_from_the_evaluation_that_was_asked_for(tmp_path):
    write_evaluation(tmp_path, cell(), {"score": 1.0})
    write_evaluation(tmp_path, cell(), {"score": 2.0}, "evaluation--fid.json")
    measure = Measure(path={"toy": "score"})
    assert read_value(cell(), tmp_path, measure, None) == 1.0
    assert read_value(cell(evaluation="fid"), tmp_path, measure, None) == 2.0
    assert read_value(cell(evaluation="none"), tmp_path, measure, None) is None
    other = cell(recipe="other")
    write_evaluation(tmp_path, other, {"score": 1.0})
    assert read_value(other, tmp_path, measure, None) is None


@catches(SUBJECT, "if read_outcome(cell, runs).state != FINISHED:", "if False:")
@catches(SUBJECT, "[column][cell.run.seed] = value", "[column][0] = value")
def test_only_finished_cells_have_values(tmp_path):
    study = Study.model_validate(STUDY)
    cells = cells_of(study, Path(), data=None)
    for number, each in enumerate(cells):
        write_evaluation(tmp_path, each, {"score": number})
        if number != 1:
            keep_outcome(each, tmp_path, Outcome(FINISHED))
    assert read_values(study, cells, tmp_path) == {"base": {"score": {0: 0.0, 1: 2.0}}, "heavy": {"score": {1: 3.0}}}


@catches(SUBJECT, 'variant.partition(".")[0] in asked', "variant in asked")
@catches(SUBJECT, "if stage in cell.skip", "if False")
@catches(SUBJECT, "if record.cost and _belongs", "if _belongs")
def test_the_costs_of_a_cell_are_those_of_its_stages_and_its_generator(tmp_path):
    records = Records(tmp_path / cell().run.name)
    for name in ("train", "generate.xar", "generate.far", "sample.xar.few", "evaluate.default", "evaluate.fid"):
        records.write(Record(name, [], {}, cost={"wall_seconds": 1.0, "cpu_seconds": 2.0, "peak_memory_bytes": 3}))
    records.write(Record("old", [], {}))
    assert set(stage_costs(cell(generators=("xar",)), tmp_path)) == {
        *("train", "generate.xar", "sample.xar.few", "evaluate.default")
    }
    assert set(stage_costs(cell(generators=("far",), skip=("sample", "evaluate")), tmp_path)) == {
        "train",
        "generate.far",
    }


@catches(SUBJECT, "max(cost[MEMORY] for", "sum(cost[MEMORY] for")
def test_times_add_up_and_the_largest_peak_counts():
    costs = {
        "a": {"wall_seconds": 1.0, "cpu_seconds": 2.0, "peak_memory_bytes": 7},
        "b": {"wall_seconds": 3.0, "cpu_seconds": 0.5, "peak_memory_bytes": 5},
    }
    assert total_cost(costs) == {"wall_seconds": 4.0, "cpu_seconds": 2.5, "peak_memory_bytes": 7}
    assert total_cost({}) == {}
