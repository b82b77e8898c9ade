"""A tiny run up to its tokens, copied for each test that goes on from it."""

import pytest

from _support.vqgan_runs import TINY
from vistok.workbench.run.paths import RunPaths
from vqgan.cli import COMMANDS, Options


@pytest.fixture(scope="session")
def encoded(tmp_path_factory):
    """The folder of a run with its tokenizer trained and its tokens cached; never written to by a test."""
    options = Options(config=TINY, runs=tmp_path_factory.mktemp("encoded"))
    COMMANDS["train-tokenizer"](options)
    COMMANDS["encode"](options)
    return options.runs / "tiny"


@pytest.fixture
def tiny_run(tmp_path):
    """Options and paths of a run that is not there yet."""
    return Options(config=TINY, runs=tmp_path), RunPaths(tmp_path / "tiny")
