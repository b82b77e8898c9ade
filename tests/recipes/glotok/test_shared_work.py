"""Stages that several processes share give the files of one process; a killed one goes on where it was."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from _support.glotok_runs import TINY
from _support.recipe_processes import launched
from glotok.cli import COMMANDS, Options
from glotok.paths import RunPaths
from vistok.workbench.token_commands import ParquetOptions

# Encodes in a process of its own and kills it (SIGKILL) when half of the second shard is written.
KILLED = """
import os, pathlib, signal, sys
from glotok.cli import COMMANDS, Options
from vistok.workbench.run import tensor_files
class Dying:
    def __init__(self, file): self.file = file
    def __getattr__(self, name): return getattr(self.file, name)
    def seek(self, place):
        self.file.flush()
        if "00001" in self.file.name: os.kill(os.getpid(), signal.SIGKILL)
        return self.file.seek(place)
import contextlib
whole = tensor_files.written_aside
@contextlib.contextmanager
def half(path, *, size=None):
    with whole(path, size=size) as file: yield Dying(file)
tensor_files.written_aside = half
COMMANDS["encode"](Options(config=sys.argv[1], runs=pathlib.Path(sys.argv[2])))
"""


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def close(found, expected):
    """Whether two evaluations say the same but for the last digits of what is summed in another order."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(found[key], value) for key, value in expected.items())
    if isinstance(expected, float):
        return found == pytest.approx(expected, rel=1e-8)
    return found == expected


@pytest.mark.slow
def test_two_processes_give_the_files_of_one(encoded, tmp_path):
    one, two = (Options(config=TINY, generator="far", runs=tmp_path / name) for name in ("one", "two"))
    shutil.copytree(encoded, one.runs / "tiny")
    COMMANDS["train-generator"](one)
    shutil.copytree(one.runs, two.runs)
    shutil.rmtree(two.runs / "tiny" / "tokens")
    options = ("--config", TINY, "--generator", "far", "--runs", two.runs)
    for stage in ("encode", "sample", "reconstruct", "evaluate"):
        COMMANDS[stage](one)
        done = launched(2, "-m", "glotok", stage, *options, timeout=280)
        assert done.returncode == 0, done.stderr[-3000:]
    first, second = (RunPaths(options.runs / "tiny") for options in (one, two))
    assert contents(first.tokens) == contents(second.tokens)
    for name in ("samples-far.safetensors", "reconstructions.safetensors"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name
    measures = [json.loads(paths.evaluation().read_text()) for paths in (first, second)]
    assert close(*measures)


@pytest.mark.slow
def test_a_killed_encoding_goes_on_with_the_shard_that_it_was_at(encoded, tmp_path):
    whole, paths = contents(encoded / "tokens"), RunPaths(tmp_path / "tiny")
    shutil.copytree(encoded, paths.folder)
    shutil.rmtree(paths.tokens)
    command = [sys.executable, "-c", KILLED, TINY, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert sorted(contents(paths.tokens)) == [".00001.safetensors.partial", "00000.safetensors"]
    written = (paths.tokens / "00000.safetensors").stat().st_mtime_ns
    COMMANDS["encode"](Options(config=TINY, runs=tmp_path, resume=True))
    assert (paths.tokens / "00000.safetensors").stat().st_mtime_ns == written
    assert contents(paths.tokens) == whole


def test_tokens_go_to_parquet_and_come_back_as_the_stage_done(encoded, tmp_path):
    given, taken = (Options(config=TINY, runs=tmp_path / name) for name in ("given", "taken"))
    shutil.copytree(encoded, given.runs / "tiny")
    shutil.copytree(encoded, taken.runs / "tiny", ignore=shutil.ignore_patterns("tokens", "encode.json"))
    parquet = {"config": TINY, "parquet": tmp_path / "parquet"}
    COMMANDS["export-tokens"](ParquetOptions(**parquet, runs=given.runs))
    COMMANDS["import-tokens"](ParquetOptions(**parquet, runs=taken.runs))
    assert contents(taken.runs / "tiny" / "tokens") == contents(encoded / "tokens")
    COMMANDS["train-generator"](replace(taken, set=("generators.xar.train.steps=1",)))
