"""The whole chain in one command, on the smallest settings; and what the command line says when something is wrong."""

import json
from functools import partial

import pytest

from _support.exported import check_pipeline
from _support.forked_processes import run_forked
from _support.glotok_runs import TINY
from _support.inspected import check_inspection
from _support.recipe_processes import run_command
from glotok.cli import COMMANDS, Options, prepare
from glotok.inspection import load_editor
from glotok.paths import RunPaths
from glotok.pipeline import load_pipeline

glotok = partial(run_forked, "glotok")


def test_the_demo_writes_everything_and_is_quick_when_repeated(tmp_path):
    done = run_command("glotok", "demo", "--config", TINY, "--runs", tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    paths = RunPaths(tmp_path / "tiny")
    run = prepare(Options(config=TINY, runs=tmp_path))
    assert all(run.stages.is_done(stage) for stage in run.stages.by_name.values() if stage.command != "inspect")
    page = paths.report().read_text()
    for heading in (
        "Reconstructions",
        "Samples: xar",
        "Global relations",
        "Codebooks",
        "Parts of the features",
        "Training",
    ):
        assert f"{heading}</h2>" in page
    assert "http" not in page
    assert 'src="data:image/png' in page
    figures = json.loads(paths.evaluation().read_text())
    assert 0 < figures["reconstruction"]["psnr"] < 60
    assert 0 <= figures["samples xar"]["recognised"] <= 1
    assert 0.9 < figures["real images"]["recognised"] <= 1
    assert {"density_cv", "normalized_entropy", "gini"} <= set(figures["uniformity"])
    again = glotok("demo", "--config", TINY, "--runs", tmp_path)
    assert again.returncode == 0
    assert "finished earlier" in again.stderr
    (paths.folder / "report.html").unlink()
    assert "--resume continues it" in glotok("demo", "--config", TINY, "--runs", tmp_path).stderr
    resumed = glotok("demo", "--config", TINY, "--runs", tmp_path, "--resume")
    assert "[7/8] evaluate: done earlier" in resumed.stderr
    assert paths.report().read_text() == page
    check_inspection(load_editor, COMMANDS, paths, config=TINY)
    check_pipeline(load_pipeline, COMMANDS, paths, config=TINY, generator="xar", seed=run.config.seed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train-tokenizer"], "teacher.safetensors is missing; run glotok teacher --runs"),
        (["teacher", "--set", "losses.beat=1"], "unknown key losses.beat; the nearest valid name is beta"),
        (["teacher", "--config", "digit"], "one of digits, emoji64"),
        (["teacher", "--data", "nowhere_at_all"], "nowhere_at_all"),
    ],
)
def test_a_mistake_gives_one_line_and_exit_code_2(tmp_path, arguments, message):
    done = glotok(*arguments, "--runs", tmp_path)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("glotok: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in done.stderr
