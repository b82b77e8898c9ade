"""Infinity and NaN go into files that every reader of JSON takes, and come back."""

import json
import math

import pytest

from _support.mutants import catches
from vistok.workbench.run.json_numbers import read_measures, to_json, with_numbers, with_strings

SUBJECT = "vistok.workbench.run.json_numbers"
VALUES = {
    "psnr": math.inf,
    "curve": [1, -math.inf, None, {"deep": math.inf}],
    "name": "infinite",
    "count": 3,
    "ok": True,
}


@catches(SUBJECT, "return [with_strings(value) for value in values]", "return values")
@catches(SUBJECT, "return [with_numbers(value) for value in values]", "return values")
@catches(SUBJECT, "if isinstance(values, float) and not math.isfinite(values) else", "if False else")
@catches(SUBJECT, "(math.inf, -math.inf, math.nan)", "(math.inf, math.nan)")
@catches(SUBJECT, "with_numbers(read_json(path))", "read_json(path)")
def test_numbers_that_are_not_finite_come_back_from_a_file_that_strict_readers_take(tmp_path):
    (tmp_path / "values.json").write_text(to_json(VALUES, indent=2))
    strict = json.loads((tmp_path / "values.json").read_text(), parse_constant=pytest.fail)
    assert strict["curve"] == [1, "-inf", None, {"deep": "inf"}]
    assert read_measures(tmp_path / "values.json") == with_numbers(with_strings(VALUES)) == VALUES
    assert math.isnan(with_numbers(json.loads(to_json([math.nan])))[0])


@catches(SUBJECT, " and all(value in _NUMBERS for value in values if isinstance(value, str))", "")
def test_a_list_of_names_stays_what_it_is():
    assert with_numbers({"class_names": ["inf", "nan", "nap"]}) == {"class_names": ["inf", "nan", "nap"]}


@catches(SUBJECT, "indent=indent", "indent=None")
def test_other_values_are_written_as_ever():
    values = {"psnr": 20.25, "sizes": (1, 2), "left out": {}, "of": None}
    assert to_json(values, indent=2) == json.dumps(values, indent=2)
    assert to_json(values) == json.dumps(values)
