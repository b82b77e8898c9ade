"""The whole chain in one command, on the smallest settings; and what the command line says when something is wrong."""

import json
import logging
import shutil
import sys
from dataclasses import replace
from functools import partial

import pytest

from _support.exported import check_pipeline
from _support.forked_processes import run_forked
from _support.inspected import check_inspection
from _support.semtok_runs import TINY
from semtok.cli import COMMANDS, Options, main, prepare
from semtok.inspection import load_editor
from semtok.paths import RunPaths
from semtok.pipeline import load_pipeline
from vistok.workbench.config import ConfigError

semtok = partial(run_forked, "semtok")


def test_the_demo_writes_everything_and_is_quick_when_repeated(stage_two, tmp_path, caplog):
    """From stage II on; ``--resume`` on its output is the rest of the chain."""
    shutil.copytree(stage_two, tmp_path / "tiny")
    done = semtok("demo", "--config", TINY, "--runs", tmp_path, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "[1/8] train-tokenizer: done earlier" in done.stderr
    paths = RunPaths(tmp_path / "tiny")
    run = prepare(Options(config=TINY, runs=tmp_path))
    assert all(run.stages.is_done(stage) for stage in run.stages.by_name.values() if stage.command != "inspect")
    page = paths.report().read_text()
    for heading in (
        "Reconstructions",
        "Samples: masked",
        "Generation step by step: masked",
        "Parts of the tokens",
        "Noise and content",
        "Noise by step",
        "Tokens",
        "Training",
    ):
        assert f"{heading}</h2>" in page
    assert "http" not in page
    assert 'src="data:image/png' in page
    assert "1-D tokens generated in raster order" in page
    assert "Fig." not in page  # the paper's compares them with 2-D tokens, which this run does not have
    figures = json.loads(paths.evaluation().read_text())
    for name in ("stage I, 1 step", "stage I, 3 steps", "refined"):
        assert 0 < figures[name]["psnr"] < 60
    assert 0 <= figures["samples masked"]["recognised"] <= 1
    assert figures["bits"]["count"] == 24
    assert 0 <= figures["probe"]["accuracy"] <= 1
    assert figures["probe"]["most_frequent_class"] == pytest.approx(
        37 / 300
    )  # of the images that the probe is fitted on
    for steps in (1, 3):
        by_steps = figures[f"steps of masked: {steps}"]
        assert {"recognised", "precision", "recall", "density", "coverage", "diversity"} <= set(by_steps)
    assert {"deviation", "psnr_between", "psnr_to_original", "psnr_other_image"} <= set(figures["noise"])
    options = Options(config=TINY, runs=tmp_path)
    with caplog.at_level(logging.INFO, logger="vistok"):
        COMMANDS["demo"](options)
        assert "finished earlier" in caplog.text
        paths.report().unlink()
        with pytest.raises(ConfigError, match="--resume continues it"):
            COMMANDS["demo"](options)
        COMMANDS["demo"](replace(options, resume=True))
    assert "[7/8] evaluate: done earlier" in caplog.text
    assert paths.report().read_text() == page
    check_inspection(load_editor, COMMANDS, paths, config=TINY)
    check_pipeline(load_pipeline, COMMANDS, paths, config=TINY, generator="masked", seed=run.config.seed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train-refiner", "--config", TINY], "model.safetensors is missing; run semtok train-tokenizer --config"),
        (
            ["train-tokenizer", "--set", "losses.flow=1"],
            "unknown key losses.flow; the nearest valid name is flow_weight",
        ),
        (["train-tokenizer", "--config", "digit"], "one of digits, emoji64"),
        (["encode", "--config", TINY, "--set", "tokenizer.bits=1"], "tokenizer.bits"),
    ],
)
def test_a_mistake_gives_one_line_and_exit_code_2(tmp_path, monkeypatch, caplog, arguments, message):
    monkeypatch.setattr(sys, "argv", ["semtok", *arguments, "--runs", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("semtok: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.parametrize("command", ["demo", "train-generator"])
def test_xar_is_refused_in_one_line_before_anything_trains(tmp_path, command):
    done = semtok(command, "--config", TINY, "--runs", tmp_path, "--generator", "xar")
    assert not (tmp_path / "tiny").exists()
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("semtok: ")]
    assert len(lines) == 1
    assert "generator xar: expected one of masked, far; xAR generates cells of a grid of continuous latents" in lines[0]
    assert "Traceback" not in done.stderr
