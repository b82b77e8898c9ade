"""A program of several commands: what it says, how loudly, and the code it ends with."""

import json
import logging
import shlex
import sys
import warnings
from pathlib import Path

import pytest

from _support.mutants import catches
from _support.toy_stages import Options
from vistok.workbench.config import ConfigError
from vistok.workbench.output import Output
from vistok.workbench.program import UnexpectedError, run_command_line
from vistok.workbench.training.signals import Interrupted

SUBJECT = "vistok.workbench.program"


def run(monkeypatch, command, *arguments):
    """Exit code (None where there is none) of the toy command."""
    monkeypatch.setattr(sys, "argv", ["toy", "train", *arguments])
    try:
        run_command_line("toy", "A toy.", {"train": command, "other": command})
    except SystemExit as stop:
        return stop.code
    return None


def raising(error):
    def command(options: Options) -> None:
        """Train."""
        raise error

    return command


@catches(SUBJECT, "if isinstance(error, Interrupted):\n        return said, STOPPED", "")
@catches(SUBJECT, "return said, UNEXPECTED", "return said, MISTAKEN")
@catches(SUBJECT, "return said if foreseen else one_line(error), MISTAKEN", "return said, MISTAKEN")
def test_errors_end_in_one_line_and_the_code_says_whose_they_are(monkeypatch, caplog):
    for error, code, line in (
        (ConfigError("steps: wrong"), 2, "toy: steps: wrong"),
        (FileNotFoundError("nowhere"), 2, "toy: nowhere"),
        (PermissionError(13, "no"), 2, "toy: PermissionError: [Errno 13] no"),
        (UnexpectedError("train: ZeroDivisionError"), 1, "toy: train: ZeroDivisionError"),
        (Interrupted("stopped after step 3"), 130, "toy: stopped after step 3"),
        (KeyboardInterrupt(), 130, "toy: interrupted; --resume continues from the newest checkpoint"),
    ):
        caplog.clear()
        assert run(monkeypatch, raising(error)) == code
        assert caplog.messages == [line]


@catches(SUBJECT, "arguments[position - 2]", "arguments[position - 1]")
def test_an_argument_without_end_is_not_repeated(monkeypatch, caplog):
    assert run(monkeypatch, raising(ValueError("not reached")), "--seed", "1" * 5000) == 2
    assert caplog.messages == ["toy: argument 3 (after --seed): expected at most 4096 characters, got 5000"]


@catches(SUBJECT, '{log.name}", UNEXPECTED', '{log.name}", MISTAKEN')
def test_errors_of_ours_are_one_line_and_a_file_with_the_traceback(monkeypatch, caplog):
    assert run(monkeypatch, raising(ZeroDivisionError("really"))) == 1
    (line,) = caplog.messages
    start, _, log = line.partition("; the traceback is in ")
    assert start == "toy: ZeroDivisionError: really"
    assert "Traceback (most recent call last)" in Path(log).read_text()
    Path(log).unlink()


def test_a_command_gets_its_options(monkeypatch):
    seen = []

    def train(options: Options) -> None:
        """Train."""
        seen.append(options)

    assert run(monkeypatch, train, "--seed", "4", "--loud") is None
    assert seen == [Options(seed=4, loud=True)]


def test_help_shows_shared_and_own_options(monkeypatch, capsys):
    assert run(monkeypatch, raising(ValueError()), "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Override any setting" in text
    assert "Whether to shout." in text
    assert "Say nothing but errors" in text
    monkeypatch.setattr(sys, "argv", ["toy", "--help"])
    with pytest.raises(SystemExit):
        run_command_line("toy", "A toy.", {"train": making, "other": making})
    assert "Exit codes: 0 done; 1 an error that nobody foresaw" in " ".join(capsys.readouterr().out.split())


@catches(SUBJECT, "_told(error, program, again)", '_told(error, program, "--resume")')
@catches(SUBJECT, "EXIT_CODES.format(failing=failing, again=again)", "EXIT_CODES.format(failing='', again='--resume')")
def test_a_program_says_what_continues_it_and_what_else_fails(monkeypatch, capsys, caplog):
    for error, own, code in (
        (KeyboardInterrupt(), {"again": "the same command"}, 130),
        (None, {"again": "the same command", "failing": ", or cells failed"}, 0),
    ):
        monkeypatch.setattr(sys, "argv", ["toy", "train"] if error else ["toy", "--help"])
        with pytest.raises(SystemExit) as ended:
            run_command_line("toy", "A toy.", {"train": raising(error), "other": making}, **own)
        assert ended.value.code == code
    assert caplog.messages == ["toy: interrupted; the same command continues from the newest checkpoint"]
    shown = " ".join(capsys.readouterr().out.split())
    assert "whose traceback is in the file named, or cells failed; 2 a mistake" in shown
    assert "130 interrupted, the same command continues." in shown


def making(options: Options) -> Output:
    """Make something."""
    logging.getLogger("vistok.toy").info("on the way")
    logging.getLogger("vistok.toy").warning("look out")
    warnings.warn("a library's own", stacklevel=1)
    return Output({"page": "runs/toy/report.html"}, Path("runs/toy/report.html"))


@catches(SUBJECT, "setLevel(logging.ERROR)", "setLevel(logging.WARNING)")
@catches(SUBJECT, "        root.setLevel(earlier)\n", "        pass\n")
@catches(SUBJECT, "        seen.append(options)\n", "        pass\n")
@pytest.mark.filterwarnings("ignore")
def test_a_quiet_command_says_where_the_result_lies_and_nothing_else(monkeypatch, capsys, caplog):
    caplog.set_level(logging.INFO)  # as it was before, whatever comes of this test
    assert run(monkeypatch, making) is None
    assert caplog.messages == ["on the way", "look out"]
    assert capsys.readouterr().out == ""
    caplog.clear()
    assert run(monkeypatch, making, "--quiet") is None
    assert caplog.messages == []
    assert capsys.readouterr().out == "runs/toy/report.html\n"
    assert logging.getLogger().level == logging.INFO


@catches(SUBJECT, 'output = Output({"error": message, "exit_code": code}, code=code)', "output = Output(code=code)")
@pytest.mark.filterwarnings("ignore")
def test_json_is_one_object_on_the_standard_output_of_errors_too(monkeypatch, capsys):
    assert run(monkeypatch, making, "--json") is None
    assert json.loads(capsys.readouterr().out) == {"page": "runs/toy/report.html"}
    assert run(monkeypatch, raising(ConfigError("steps: wrong")), "--json") == 2
    assert json.loads(capsys.readouterr().out) == {"error": "steps: wrong", "exit_code": 2}


@catches(SUBJECT, '[OutputOptions(json="--json" in sys.argv[1:])]', "[OutputOptions()]")
@catches(SUBJECT, "if stop.code and", "if")
@catches(SUBJECT, 'exit_code": stop.code}).write(options[-1])\n        raise\n', 'exit_code": 2}).write(options[-1])\n')
def test_json_is_one_object_where_the_command_line_cannot_be_read(monkeypatch, capsys):
    for wrong in (["--sed", "3"], ["--seed", "a b"]):
        assert run(monkeypatch, making, *wrong, "--json") == 2
        told = {"error": "arguments: expected those of toy --help, got " + shlex.join(["train", *wrong, "--json"])}
        said = capsys.readouterr()
        assert json.loads(said.out) == told | {"exit_code": 2}
        assert wrong[0] in said.err
        assert run(monkeypatch, making, *wrong) == 2
        assert capsys.readouterr().out == ""
    assert run(monkeypatch, making, "--json", "--name", "x" * 5000) == 2
    told = {"error": "argument 4 (after --name): expected at most 4096 characters, got 5000", "exit_code": 2}
    assert json.loads(capsys.readouterr().out) == told
    assert run(monkeypatch, making, "--json", "--help") == 0
    assert "exit_code" not in capsys.readouterr().out


@catches(SUBJECT, "    if output.code:\n", "    if message:\n")
def test_a_command_may_end_with_a_code_of_its_own(monkeypatch, capsys):
    def some_failed(options: Options) -> Output:
        """Fail in part."""
        return Output({"failed": 2}, code=1)

    assert run(monkeypatch, some_failed, "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"failed": 2}
