"""No command touches a folder that is not a run of its recipe, nor any place but that of the run."""

import importlib

import pytest

from _support import glotok_runs, semtok_runs, vqgan_runs
from vistok.workbench.config import ConfigError
from vistok.workbench.run.folder import mark_run

CONFIGS = {"glotok": glotok_runs.TINY, "semtok": semtok_runs.TINY, "vqgan": vqgan_runs.TINY}
COMMANDS = [
    (recipe, command)
    for recipe in CONFIGS
    for command in importlib.import_module(f"{recipe}.cli").COMMANDS
    if command not in ("cost", "runs", "compare")  # which are about no run of their own
]


def everything_in(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("fresh", [False, True], ids=["", "fresh"])
@pytest.mark.parametrize(("recipe", "command"), COMMANDS)
def test_somebody_elses_folder_is_left_alone(recipe, command, fresh, tmp_path):
    """One with a config.yaml of its own, and one with a run of another recipe."""
    cli = importlib.import_module(f"{recipe}.cli")
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj" / "config.yaml").write_text("name: proj\n")
    (tmp_path / "proj" / "thesis.txt").write_text("years of work\n")
    mark_run(tmp_path / "other", "another-recipe")
    before, options = everything_in(tmp_path), cli.COMMANDS[command].__annotations__["options"]
    new = {name: tmp_path / "new" for name in ("parquet", "folder") if name in options.__dataclass_fields__}
    for name, reason in (("proj", "is not a run .* left alone"), ("other", "a run of another-recipe")):
        with pytest.raises(ConfigError, match=rf"{name}: {reason}.*; use another --name"):
            cli.COMMANDS[command](options(config=CONFIGS[recipe], runs=tmp_path, name=name, fresh=fresh, **new))
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("name", ["../../evil", "..", ".", "", "a/b", "/tmp/evil", "-x", "--fresh"])
@pytest.mark.parametrize("recipe", list(CONFIGS))
def test_a_name_that_is_no_plain_name_is_refused_and_nothing_is_written(recipe, name, tmp_path):
    cli = importlib.import_module(f"{recipe}.cli")
    (tmp_path / "evil").mkdir()
    before = everything_in(tmp_path)
    for fresh in (False, True):
        with pytest.raises(ConfigError, match="name: expected a plain name of letters, digits and"):
            cli.COMMANDS["demo"](cli.Options(config=CONFIGS[recipe], runs=tmp_path / "a" / "b", name=name, fresh=fresh))
    assert everything_in(tmp_path) == before
