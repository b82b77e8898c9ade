"""Damage to any file of a finished run, met by whole commands: they use it, do it again or tell it in one line."""

import importlib
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _support import glotok_runs, semtok_runs
from _support.few_images import few_images_for_a_while
from _support.fuzzing import cases, succeeds_or_is_told
from _support.mutated_bytes import MUTATIONS, contents, mutated
from vistok.workbench.command_line import USER_ERRORS

CONFIGS = {"glotok": glotok_runs.TINY, "semtok": semtok_runs.TINY}
COMMANDS = ("demo", "train-tokenizer", "train-generator", "sample", "reconstruct", "evaluate", "report")


def run(recipe, command, runs, config=None):
    """A command of the recipe, as if it were typed; without a configuration it is the run's own."""
    cli = importlib.import_module(f"{recipe}.cli")
    cli.COMMANDS[command](cli.Options(config=config, name="tiny", runs=runs, resume=True))


@pytest.fixture(scope="module", params=["glotok", "semtok"])
def finished(request, tmp_path_factory):
    """A recipe, and the folder of its runs with a finished one, on few images."""
    runs = tmp_path_factory.mktemp(request.param)
    with few_images_for_a_while():
        run(request.param, "demo", runs, CONFIGS[request.param])
        yield request.param, runs


@given(data=st.data(), command=st.sampled_from(COMMANDS), mutations=MUTATIONS)
@cases(12, at_night=2000)  # a third of a second each
def test_a_run_with_a_damaged_file_is_used_mended_or_told(finished, tmp_path_factory, data, command, mutations):
    recipe, runs = finished
    place = tmp_path_factory.mktemp("damaged")
    folder = place / "tiny"
    shutil.copytree(runs / "tiny", folder)
    name = data.draw(st.sampled_from(sorted(contents(folder))), "file")
    (folder / name).write_bytes(mutated((folder / name).read_bytes(), mutations))
    before = contents(folder)
    with succeeds_or_is_told(*USER_ERRORS, seconds=60.0):
        run(recipe, command, place)
    kept = contents(folder).values()
    checkpoints = {path: content for path, content in before.items() if path.startswith("checkpoints") and path != name}
    assert [path for path, content in checkpoints.items() if content not in kept] == []
    assert not (folder / "error.log").exists()
    shutil.rmtree(place)
