"""A prepared tiny run (its teacher made), copied for each test that trains."""

import logging
import shutil

import pytest

from _support.glotok_runs import TINY
from glotok.cli import Options, teacher
from glotok.paths import RunPaths


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    runs = tmp_path_factory.mktemp("prepared")
    logging.getLogger("glotok").setLevel(logging.WARNING)
    teacher(Options(config=TINY, runs=runs))
    return runs / "tiny"


@pytest.fixture
def tiny_run(prepared, tmp_path):
    """Options and paths of a fresh copy of the prepared run."""
    shutil.copytree(prepared, tmp_path / "tiny")
    return Options(config=TINY, runs=tmp_path), RunPaths(tmp_path / "tiny")
