"""A prepared tiny run (features cached, or stage I trained and tokens cached too), copied for each test that trains."""

import shutil

import pytest

from _support.semtok_runs import TINY
from semtok.cli import COMMANDS, Options
from semtok.paths import RunPaths
from vistok.workbench.run.folder import mark_run


@pytest.fixture(scope="session")
def stage_one(tmp_path_factory):
    """The folder of a run after stage I and encode; never written to by a test."""
    options = Options(config=TINY, runs=tmp_path_factory.mktemp("stage_one"))
    COMMANDS["train-tokenizer"](options)
    COMMANDS["encode"](options)
    return options.runs / "tiny"


@pytest.fixture(scope="session")
def stage_two(stage_one, tmp_path_factory):
    """The folder of a run after stage II; never written to by a test."""
    options = Options(config=TINY, runs=tmp_path_factory.mktemp("stage_two"))
    shutil.copytree(stage_one, options.runs / "tiny")
    COMMANDS["train-refiner"](options)
    return options.runs / "tiny"


@pytest.fixture
def tiny_run(stage_one, tmp_path):
    """Options and paths of a run of which only the cached features are there; its configuration is not fixed yet."""
    mark_run(tmp_path / "tiny", "semtok")
    shutil.copy(stage_one / "alignment.safetensors", tmp_path / "tiny" / "alignment.safetensors")
    return Options(config=TINY, runs=tmp_path), RunPaths(tmp_path / "tiny")


@pytest.fixture
def trained_run(stage_one, tmp_path):
    """Options and paths of a copy of the run after stage I; its configuration may be changed."""
    shutil.copytree(stage_one, tmp_path / "tiny")
    return Options(config=TINY, runs=tmp_path), RunPaths(tmp_path / "tiny")
