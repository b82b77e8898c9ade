"""The room of studies runs as a module."""

import runpy
import sys

import pytest

from _support.mutants import catches

SUBJECT = "vistok.workbench.studies.__main__"


@catches(SUBJECT, "    main()", "    main")
def test_the_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["vistok-study", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("vistok.workbench.studies", run_name="__main__")
    assert ended.value.code == 0
    assert "correlate" in capsys.readouterr().out
