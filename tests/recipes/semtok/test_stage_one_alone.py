"""A run without stage II: every later stage works on it, and is made again once stage II is there."""

import json
import shutil
from dataclasses import replace

import pytest

from _support.mutants import catches
from _support.semtok_runs import TINY, generator, pictures, tiny, tiny_tokenizer
from semtok import reconstruct
from semtok.cli import COMMANDS, Options, prepare
from semtok.paths import RunPaths
from semtok.pipeline import load_pipeline
from vistok.workbench.inspect_command import InspectOptions


@catches("semtok.paths", "self.refined if (self.refined", "self.tokenizer if (self.refined")
def test_the_tokenizer_of_a_run_is_the_refined_one_if_there_is_one(tmp_path):
    paths = RunPaths(tmp_path)
    assert paths.last_tokenizer == paths.tokenizer
    tiny_tokenizer("constant").save_pretrained(paths.refined)
    assert paths.last_tokenizer == paths.refined


@catches(
    "semtok.reconstruct", "[tokenizer.sample] if tokenizer.refiner is None", "[tokenizer.decode] if tokenizer.refiner"
)
def test_parts_of_the_tokens_are_decoded_by_the_stages_that_there_are():
    for kind, stages in ((None, 1), ("constant", 2)):
        tokenizer = tiny_tokenizer(kind)
        study = reconstruct.prefix_study(tokenizer, tokenizer.encode(pictures()), tiny())
        assert study.shape == (3, stages, 5, 1, 16, 16)


def test_decoding_takes_hidden_tokens_with_and_without_stage_two():
    hidden = pictures(3)[:, 0, 0, :4] > 0
    for kind, stage in ((None, "sample"), ("constant", "refine")):
        tokenizer = tiny_tokenizer(kind)
        tokens = tokenizer.encode(pictures())
        made, expected = (
            getattr(tokenizer, name)(tokens, hidden=hidden, generator=generator()) for name in ("decode", stage)
        )
        assert (made == expected).all()


@pytest.mark.slow
def test_all_stages_work_without_stage_two_and_again_when_it_is_there(stage_one, tmp_path):
    shutil.copytree(stage_one, tmp_path / "tiny")
    options, paths = Options(config=TINY, runs=tmp_path, resume=True), RunPaths(tmp_path / "tiny")
    COMMANDS["demo"](replace(options, skip=("train-refiner",)))
    figures = json.loads(paths.evaluation().read_text())
    assert "refined" not in figures
    assert {"background_noise", "calibration_gap"} <= set(figures["stage I, 3 steps"])
    assert "velocity_at_0.05" in figures["error by time"]
    assert "recognised" in figures["samples masked"]
    page = paths.report().read_text()
    assert "Noise by step</h2>" in page
    assert "there is no stage II" in page
    COMMANDS["inspect"](InspectOptions(config=TINY, runs=tmp_path))
    assert "decoded by stage I from" in paths.inspection.read_text()
    assert len(load_pipeline(paths.folder)(["3"])) == 1
    COMMANDS["train-refiner"](replace(options, resume=False))
    run = prepare(options)
    assert not run.stages.is_done(run.stages.by_name["reconstruct"])
    COMMANDS["demo"](options)
    assert "refined" in json.loads(paths.evaluation().read_text())


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["sampler", "mean_flow"])
def test_a_stage_two_of_few_steps_goes_through_all_stages(stage_one, tmp_path, objective):
    shutil.copytree(stage_one, tmp_path / "tiny")
    changes = (f"refiner.objective={objective}", "refiner.num_steps=2")
    options = Options(config=TINY, runs=tmp_path, resume=True, set=changes)
    COMMANDS["demo"](options)
    paths = RunPaths(tmp_path / "tiny")
    figures = json.loads(paths.evaluation().read_text())
    assert {"psnr", "background_noise", "calibration_gap"} <= set(figures["refined"])
    assert "stage II, 2 calls" in paths.report().read_text() or "in 2 calls" in paths.report().read_text()
