"""Tiny runs up to their teacher and up to their tokens, copied for each test that trains."""

import logging
import shutil

import pytest

from _support.glotok_runs import TINY
from glotok.cli import COMMANDS, Options
from glotok.paths import RunPaths


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    runs = tmp_path_factory.mktemp("prepared")
    logging.getLogger("glotok").setLevel(logging.WARNING)
    COMMANDS["teacher"](Options(config=TINY, runs=runs))
    return runs / "tiny"


@pytest.fixture(scope="session")
def encoded(prepared, tmp_path_factory):
    """The folder of a run with its tokenizer trained and its tokens cached; never written to by a test."""
    options = Options(config=TINY, runs=tmp_path_factory.mktemp("encoded"))
    shutil.copytree(prepared, options.runs / "tiny")
    COMMANDS["train-tokenizer"](options)
    COMMANDS["encode"](options)
    return options.runs / "tiny"


@pytest.fixture
def tiny_run(prepared, tmp_path):
    """Options and paths of a fresh copy of the prepared run."""
    shutil.copytree(prepared, tmp_path / "tiny")
    return Options(config=TINY, runs=tmp_path), RunPaths(tmp_path / "tiny")
