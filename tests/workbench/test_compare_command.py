"""The command takes runs by name or path, and says which page it wrote."""

from pathlib import Path

import pytest

from _support.mutants import catches
from vistok.workbench.compare_command import CompareOptions, compare_command
from vistok.workbench.config import ConfigError
from vistok.workbench.run.folder import mark_run

SUBJECT = "vistok.workbench.compare_command"


def run_of(folder):
    mark_run(folder, "toy")
    (folder / "config.yaml").write_text(f"name: {folder.name}\n")
    return folder


@catches(SUBJECT, "for folder in (runs / name, name):", "for folder in (name,):")
@catches(SUBJECT, "if not 2 <= len(folders)", "if not 1 <= len(folders)")
@catches(SUBJECT, "if is_run(folder):", "if True:")
def test_runs_are_named_or_given_by_path_and_one_page_holds_them(tmp_path):
    compare = compare_command()["compare"]
    run_of(tmp_path / "runs" / "a")
    elsewhere = run_of(tmp_path / "elsewhere" / "b")
    made = compare(CompareOptions(names=(Path("a"), elsewhere), runs=tmp_path / "runs"))
    assert made.place == tmp_path / "runs" / "compare-a-b.html"
    page = made.place.read_text()
    assert "a · b" in page
    assert "http" not in page
    assert made.values["page"] == str(made.place)
    with pytest.raises(ConfigError, match="expected 2 to 26 runs, got 1"):
        compare(CompareOptions(names=(Path("a"),), runs=tmp_path / "runs"))
    with pytest.raises(ConfigError, match="compare: c is no run, neither in"):
        compare(CompareOptions(names=(Path("a"), Path("c")), runs=tmp_path / "runs"))
