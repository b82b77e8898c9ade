"""Measures are written whole, once, for every reader, and come back."""

import json
import logging
import math

import pytest

from _support.mutants import catches
from vistok.workbench.evaluation.evaluation_file import load_evaluation, write_evaluation
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.tracking import read_metrics

SUBJECT = "vistok.workbench.evaluation.evaluation_file"


@catches(SUBJECT, "    metrics.rewind(stage, -1)\n", "")
def test_measures_are_written_logged_and_appended_once(tmp_path, caplog):
    paths = RunPaths(tmp_path)
    measures = {"reconstruction": {"psnr": 20.25}, "codebooks": {"sizes": [1, 2]}, "real images": {"count": 3.0}}
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            write_evaluation(paths, "default", measures, ("reconstruction", "uniformity", "real images"))
    assert json.loads(paths.evaluation().read_text()) == measures == load_evaluation(paths)
    assert caplog.messages[:2] == ["reconstruction: psnr 20.25", "real images: count 3"]
    line = {"stage": "evaluation", "step": 0, "reconstruction: psnr": 20.25, "real images: count": 3.0}
    assert read_metrics(paths.metrics) == [line]


@catches(SUBJECT, "to_json(measures, indent=2)", 'str(measures).replace("\'", chr(34)).replace("inf", "Infinity")')
@catches(SUBJECT, "read_measures(paths.evaluation(name))", "eval(paths.evaluation(name).read_text())")
def test_an_infinite_measure_is_written_for_every_reader_and_comes_back(tmp_path):
    paths, measures = RunPaths(tmp_path), {"reconstruction": {"psnr": math.inf, "mean_absolute_error": 0.0}}
    write_evaluation(paths, "default", measures, ("reconstruction",))
    strict = json.loads(paths.evaluation().read_text(), parse_constant=pytest.fail)
    assert strict["reconstruction"]["psnr"] == "inf"
    assert load_evaluation(paths) == measures
    assert read_metrics(paths.metrics)[0]["reconstruction: psnr"] == math.inf
