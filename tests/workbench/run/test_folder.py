"""The folder of a run: marked, plainly named, never taken for another; what is set aside is kept."""

import json
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.config import Config, ConfigError
from vistok.workbench.run.folder import (
    check_folder,
    environment_record,
    is_run,
    mark_run,
    plain_name,
    set_aside,
    write_config,
)

SUBJECT = "vistok.workbench.run.folder"


class Settings(Config):
    steps: int = 1


def test_a_run_holds_its_mark_its_configuration_and_its_environment(tmp_path):
    folder = tmp_path / "a"
    mark_run(folder, "toy")
    write_config(folder, Settings(), "train", anew=True)
    assert is_run(folder)
    assert (folder / "config.yaml").read_text() == "steps: 1\n"
    record = json.loads((folder / "environment.json").read_text())
    assert {"python", "platform", "cores", "torch_threads", "versions", "command"} <= set(record)


@catches(SUBJECT, '["python", "-m", module.name.removesuffix(".__main__")] if module else ', "")
@catches(SUBJECT, '.removesuffix(".__main__")', "")
@catches(SUBJECT, "shlex.join(", '" ".join(')
def test_the_command_of_a_record_is_one_that_can_be_given_again(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/glotok/__main__.py", "demo", "--set", "name=my run"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("glotok.__main__", None))
    assert environment_record()["command"] == "python -m glotok demo --set 'name=my run'"
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("tool", None))
    assert environment_record()["command"].startswith("python -m tool demo")
    monkeypatch.setattr(sys, "argv", ["/bin/glotok", "demo"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert environment_record()["command"] == "glotok demo"


@catches(SUBJECT, "if not anew and file.exists():", "if file.exists():")
@catches(SUBJECT, "if not anew and file.exists():", "if False:")
@catches(SUBJECT, "was.get(name, version)", "was.get(name)")
@catches(SUBJECT, " if name != stage}", " if name != stage or not changed}")
@catches(SUBJECT, "others |= {stage", "others = {stage")
@catches(SUBJECT, "        if changed:\n", "        if not changed:\n")
def test_a_stage_under_other_versions_than_the_run_began_with_is_told_and_recorded(tmp_path, caplog):
    def run(stage, *, anew=False):
        caplog.clear()
        write_config(tmp_path, Settings(), stage, anew=anew)
        return json.loads((tmp_path / "environment.json").read_text())

    def begun_with(**versions):
        record = json.loads((tmp_path / "environment.json").read_text())
        (tmp_path / "environment.json").write_text(json.dumps(record | {"versions": versions, "command": "train"}))

    now = run("train")["versions"]
    begun_with(torch="1.0", numpy=now["numpy"])  # of a version that recorded fewer packages
    for stages in (["encode"], ["encode", "sample"]):
        record = run(stages[-1])
        assert caplog.messages == [f"{stages[-1]}: other versions than the run was begun with: torch {now['torch']}"]
        assert (record["versions"]["torch"], record["command"]) == ("1.0", "train")
        assert record["versions by stage"] == {each: {"torch": now["torch"]} for each in stages}
    begun_with(torch=now["torch"])
    assert list(run("encode")["versions by stage"]) == ["sample"]
    assert caplog.messages == []
    assert "versions by stage" not in run("sample")
    begun_with(torch="1.0")
    assert run("train", anew=True)["versions"] == now
    assert (caplog.messages, "versions by stage" in run("train", anew=True)) == ([], False)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../../evil", "a/b", "/etc", "a\\b", "-x", ".hidden", "a\nb", " a", "a ", "a.", "x" * 101, "a:b"],
)
def test_a_name_with_a_path_in_it_or_one_that_hides_is_refused(name):
    with pytest.raises(ValueError, match="expected a plain name"):
        plain_name(name)


@pytest.mark.parametrize("name", ["demo", "vit-b_2", "3rd try, lr=1e-4", "größer", "試し"])
def test_ordinary_names_pass(name):
    assert plain_name(name) == name


@given(st.text(max_size=8) | st.from_regex(r"[\w./\\~$:-]{0,12}", fullmatch=True))
def test_any_name_is_that_of_a_folder_within_the_runs_or_refused(name):
    try:
        plain_name(name)
    except ValueError:
        return
    place = Path("runs") / name
    assert place.parent == Path("runs")
    assert os.path.normpath(place) == f"runs{os.sep}{name}"
    assert name.isprintable()
    assert name[0] not in "-.~ "


@pytest.mark.parametrize("content", ["config.yaml", "photo.png", None])
def test_only_a_marked_folder_is_a_run(tmp_path, content):
    folder = tmp_path / "project"
    if content is None:
        folder.write_text("a file")
    else:
        folder.mkdir()
        (folder / content).write_text("name: mine\n")
    with pytest.raises(ConfigError, match=r"project: is not a run .* left alone; use another --name"):
        check_folder(folder, "toy")


@catches(SUBJECT, "(maker := run_maker(folder)) != program", "not (maker := run_maker(folder))")
def test_the_run_of_another_recipe_is_refused_and_a_damaged_mark_is_named(tmp_path):
    mark_run(tmp_path / "a", "toy")
    check_folder(tmp_path / "a", "toy")
    check_folder(tmp_path / "nothing", "toy")
    with pytest.raises(ConfigError, match="a run of toy, expected one of other"):
        check_folder(tmp_path / "a", "other")
    (tmp_path / "a" / "vistok-run.json").write_text("{")
    with pytest.raises(ConfigError, match=r"vistok-run\.json: damaged"):
        check_folder(tmp_path / "a", "toy")


@catches(SUBJECT, "and not any(folder in paths for folder in path.parents)", "")
def test_a_file_goes_with_the_folder_that_it_lies_in(tmp_path):
    mark_run(tmp_path, "toy")
    (tmp_path / "tokens").mkdir()
    for name in ("a", "b"):
        (tmp_path / "tokens" / name).write_text(name)
    set_aside(tmp_path, [tmp_path / "tokens" / "a", tmp_path / "tokens"])
    (old,) = (tmp_path / "aside").iterdir()
    assert sorted(path.name for path in (old / "tokens").iterdir()) == ["a", "b"]
    assert not (tmp_path / "tokens").exists()


@catches(SUBJECT, "for kept in (CONFIG, ENVIRONMENT, METRICS):", "for kept in (ENVIRONMENT, METRICS):")
@catches(SUBJECT, "for kept in (CONFIG, ENVIRONMENT, METRICS):", "for kept in (CONFIG, METRICS):")
def test_what_is_set_aside_is_whole_and_named_by_the_time(tmp_path):
    mark_run(tmp_path, "toy")
    write_config(tmp_path, Settings(), "train", anew=True)
    (tmp_path / "checkpoints" / "far").mkdir(parents=True)
    for name in ("weights", "checkpoints/far/step", "other"):
        (tmp_path / name).write_text(name)
    for _ in range(2):  # twice within a second: two folders
        (tmp_path / "weights").write_text("weights")
        set_aside(tmp_path, [tmp_path / "weights", tmp_path / "checkpoints" / "far", tmp_path / "not there"])
    first, second = sorted((tmp_path / "aside").iterdir())
    assert (first / "weights").read_text() == (second / "weights").read_text() == "weights"
    assert (first / "checkpoints" / "far" / "step").read_text() == "checkpoints/far/step"
    assert (first / "config.yaml").read_text() == "steps: 1\n"  # what it was made with
    assert (first / "environment.json").read_text() == (tmp_path / "environment.json").read_text()
    assert (tmp_path / "other").exists()
    assert not (tmp_path / "weights").exists()


@catches(SUBJECT, "not in (ASIDE, LOCK, MARK, STUDY)", "not in (ASIDE, LOCK, MARK)")
@catches(SUBJECT, "any(path.name != STUDY for path in folder.iterdir())", "any(folder.iterdir())")
def test_what_a_study_keeps_in_a_folder_is_no_part_of_the_run(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "output.log").write_text("begins")
    check_folder(tmp_path, "toy")
    mark_run(tmp_path, "toy")
    set_aside(tmp_path, [])
    assert (tmp_path / "study" / "output.log").exists()


@catches(SUBJECT, "not in (ASIDE, LOCK, MARK, STUDY)", "not in (ASIDE, LOCK, STUDY)")
def test_everything_can_be_set_aside_but_the_mark(tmp_path):
    mark_run(tmp_path, "toy")
    write_config(tmp_path, Settings(), "train", anew=True)
    (tmp_path / "weights").write_text("weights")
    set_aside(tmp_path, [])
    assert {path.name for path in tmp_path.iterdir()} == {"vistok-run.json", "aside"}
    (old,) = (tmp_path / "aside").iterdir()
    assert {path.name for path in old.iterdir()} == {"config.yaml", "environment.json", "weights"}
