"""What a command leaves on the standard output, by its options."""

import json
import math
from pathlib import Path

import pytest

from _support.mutants import catches
from vistok.workbench.output import Output, OutputOptions

SUBJECT = "vistok.workbench.output"


@catches(SUBJECT, "return self.text or (", "return (")
@catches(SUBJECT, "if options.quiet and self.place is not None", "if self.place is not None")
@catches(SUBJECT, "if options.json:", "if options.json and not self.text:")
def test_a_table_is_printed_a_path_only_where_all_else_is_silent_and_json_in_place_of_both(capsys):
    page, table = Output({"page": "a"}, Path("a")), Output({"runs": []}, text="no runs")
    for output, options, shown in (
        (page, OutputOptions(), ""),
        (page, OutputOptions(quiet=True), "a\n"),
        (table, OutputOptions(), "no runs\n"),
        (table, OutputOptions(quiet=True), "no runs\n"),
        (Output(), OutputOptions(quiet=True), ""),
    ):
        output.write(options)
        assert capsys.readouterr().out == shown
    for output in (page, table):
        output.write(OutputOptions(quiet=True, json=True))
        assert json.loads(capsys.readouterr().out) == output.values


@catches(SUBJECT, "to_json(self.values, indent=2, ensure_ascii=False)", "str(self.values)")
@catches("vistok.workbench.run.json_numbers", "ensure_ascii=ensure_ascii", "ensure_ascii=True")
def test_numbers_that_json_does_not_have_are_texts(capsys):
    values = {"psnr": math.inf, "rows": [{"low": -math.inf, "high": (math.nan, 1.5)}], "count": 3, "class": "Käse"}
    Output(values).write(OutputOptions(json=True))
    text = capsys.readouterr().out
    assert "Käse" in text
    found = json.loads(text, parse_constant=pytest.fail)
    assert found == {"psnr": "inf", "rows": [{"low": "-inf", "high": ["nan", 1.5]}], "count": 3, "class": "Käse"}
