"""metrics.jsonl: rewound on resume, and a line that a crash cut off is dropped."""

import json
import math

import pytest

from _support.mutants import catches
from vistok.workbench.run.tracking import MetricsLog, read_metrics

SUBJECT = "vistok.workbench.run.tracking"


def test_lines_come_back_in_order(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    for step in (1, 2):
        log.write("tokenizer", step, {"loss": step / 3})
    assert read_metrics(log.path) == [{"stage": "tokenizer", "step": s, "loss": s / 3} for s in (1, 2)]


@catches(SUBJECT, 'line["step"] <= step', 'line["step"] < step')
@catches(SUBJECT, 'line["stage"] != stage or ', "")
def test_rewinding_forgets_later_steps_of_one_stage_only(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    for stage in ("tokenizer", "generator"):
        for step in (1, 2, 3):
            log.write(stage, step, {})
    log.rewind("tokenizer", 2)
    assert [(x["stage"], x["step"]) for x in read_metrics(log.path)] == [
        ("tokenizer", 1),
        ("tokenizer", 2),
        ("generator", 1),
        ("generator", 2),
        ("generator", 3),
    ]


@catches(SUBJECT, '.split("\\n"), 1)', '.split("\\n"))')
@catches(SUBJECT, 'and isinstance(line.get("step"), int)', "")
def test_damaged_lines_are_left_out_and_named_and_the_others_kept(tmp_path, caplog):
    path = tmp_path / "m.jsonl"
    whole = '{"stage": "far", "step": 1}'
    path.write_text(f'{whole}\n{{"stage": "far"}}\n\n[1]\n{whole}\n{"[" * 100_000}\n')
    assert read_metrics(path) == [{"stage": "far", "step": 1}] * 2
    assert caplog.messages == [f"{path}: line {number} is damaged and left out" for number in (2, 4, 6)]
    assert read_metrics(tmp_path / "nowhere.jsonl") == []


def test_a_line_cut_off_by_a_crash_is_dropped_and_the_file_goes_on(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    log.write("tokenizer", 1, {"loss": 1.0})
    with log.path.open("a") as file:
        file.write('{"stage": "tokenizer", "ste')
    log.rewind("tokenizer", 1)
    log.write("tokenizer", 2, {"loss": 0.5})
    assert [x["step"] for x in read_metrics(log.path)] == [1, 2]


@catches(SUBJECT, "        if not self.enabled:\n            return\n", "")
def test_a_silent_log_writes_nothing(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl", enabled=False)
    log.write("tokenizer", 1, {})
    log.rewind("tokenizer", 0)
    assert not log.path.exists()


@catches(SUBJECT, 'to_json({"stage"', 'json.dumps({"stage"')
@catches(SUBJECT, "to_json(line)", "json.dumps(line)")
@catches(SUBJECT, 'with_numbers(json.loads(text or "null"))', 'json.loads(text or "null")')
def test_an_infinite_value_is_a_line_that_strict_readers_take_and_comes_back(tmp_path):
    log = MetricsLog(tmp_path / "m.jsonl")
    log.write("evaluation", 0, {"reconstruction: psnr": math.inf})
    for _ in range(2):
        strict = json.loads(log.path.read_text(), parse_constant=pytest.fail)
        assert strict["reconstruction: psnr"] == "inf"
        assert read_metrics(log.path) == [{"stage": "evaluation", "step": 0, "reconstruction: psnr": math.inf}]
        log.rewind("tokenizer", 0)
