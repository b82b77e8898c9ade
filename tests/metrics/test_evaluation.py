"""Numbers and choices are written whole, and read back as they were."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.metrics import Evaluation, NotMeasurableError, read_evaluation
from vistok.metrics.harness.evaluation import ready_folder, replace_file

SUBJECT = "vistok.metrics.harness.evaluation"
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
numbers = st.floats(allow_nan=False)
ANY = st.dictionaries(names, st.dictionaries(names, numbers, min_size=1, max_size=3), max_size=3)


def strictly(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@catches(SUBJECT, "value if math.isfinite(value) else str(value)", "value")
@catches(SUBJECT, "section: {name: float(value) for name, value in values.items()}", "section: dict(values)")
@example(choices={}, measures={"reconstruction": {"psnr": math.inf}}, left_out={})
@given(
    choices=st.dictionaries(names, names | st.integers() | st.booleans() | numbers.filter(math.isfinite), max_size=4),
    measures=ANY,
    left_out=st.dictionaries(names, names, max_size=2),
)
def test_what_is_written_is_read_back_equal_and_is_json_of_any_reader(tmp_path_factory, choices, measures, left_out):
    folder = tmp_path_factory.getbasetemp() / "evaluation"
    found = Evaluation(choices, measures, left_out)
    path = found.write(folder)
    assert path == folder / "evaluation.json"
    strictly(path.read_text(encoding="utf-8"))
    assert read_evaluation(path) == read_evaluation(folder) == found


@catches(SUBJECT, "except NotMeasurableError as error:", "except ValueError as error:")
def test_what_cannot_be_measured_is_left_out_and_a_mistake_is_not():
    found = Evaluation()

    def impossible():
        raise NotMeasurableError("two images are needed, got 1")

    def mistaken():
        raise ValueError("shapes differ")

    found.add("samples", "distance", impossible)
    found.add("samples", "score", lambda: {"score": 1})
    found.add("samples", "other", lambda: {"other": 2})
    assert found.measures == {"samples": {"score": 1.0, "other": 2.0}}
    assert found.left_out == {"samples: distance": "two images are needed, got 1"}
    with pytest.raises(ValueError, match="shapes differ"):
        found.add("samples", "mistaken", mistaken)


@catches(SUBJECT, "replace('|', chr(92) + '|')", "strip()")
@catches(SUBJECT, "if self.left_out:", "if False:")
def test_the_table_holds_every_number_choice_and_reason():
    found = Evaluation(
        {"count": 5000, "subject": "a|b\nc", "network": "Lite0"},
        {"reconstruction": {"psnr": 27.123456, "frechet_distance": 3.0}},
        {"reconstruction: ssim": "images are too small"},
    )
    lines = found.markdown().splitlines()
    assert "| reconstruction | PSNR (dB) | 27.123 |" in lines
    assert "| reconstruction | Frechet distance on Lite0 | 3 |" in lines
    assert r"| subject | a\|b c |" in lines
    assert "- reconstruction: ssim: images are too small" in lines
    tables = [line.replace(r"\|", "").count("|") for line in lines if line.startswith("|")]
    assert tables == [4] * 4 + [3] * 5


@catches(SUBJECT, "aside.replace(path)", "path.write_text(text[:10])")
@catches(SUBJECT, "aside.unlink(missing_ok=True)", "pass")
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "evaluation.json"
    replace_file(path, "first " * 10)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, "second")
    assert path.read_text() == "first " * 10
    assert list(tmp_path.iterdir()) == [path]


@catches(SUBJECT, ', errors="backslashreplace"', "")
def test_bytes_of_a_name_that_are_no_utf_8_are_written_out(tmp_path):
    replace_file(tmp_path / "evaluation.json", "images \udcff")
    assert (tmp_path / "evaluation.json").read_text() == r"images \udcff"


@catches(SUBJECT, "probe.touch()", "pass")
def test_a_folder_is_made_and_that_it_cannot_be_written_to_is_told(tmp_path, monkeypatch):
    assert ready_folder(None) is None
    assert ready_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        ready_folder(tmp_path / "file")

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(PermissionError):
        ready_folder(tmp_path / "a")


@catches(SUBJECT, "KeyError, TypeError, AttributeError", "TypeError, AttributeError")
def test_a_file_that_is_no_evaluation_is_one_line_with_its_name(tmp_path):
    for text in ("", "{", "[]", "3", '{"choices": {}}', '{"choices": {}, "measures": {"a": 1}, "left out": {}}'):
        (tmp_path / "evaluation.json").write_text(text)
        with pytest.raises(ValueError, match=r"\A[^\n]*evaluation\.json: expected an evaluation with choices[^\n]*\Z"):
            read_evaluation(tmp_path)


def test_a_file_that_is_missing_is_told_by_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"evaluation\.json: there is no such file"):
        read_evaluation(tmp_path)
