"""The whole chain with every quantizer and generator, in one command on the smallest settings; and what it says."""

import json
from dataclasses import replace
from functools import partial

import pytest

from _support.exported import check_pipeline
from _support.few_images import few_images
from _support.forked_processes import run_forked
from _support.inspected import check_inspection
from _support.vqgan_runs import QUANTIZERS, TINY, with_quantizer
from vistok.workbench.evaluation.sampling import load_samples
from vistok.workbench.run.paths import RunPaths
from vqgan.cli import COMMANDS, Options, prepare
from vqgan.inspection import load_editor
from vqgan.pipeline import load_pipeline

vqgan = partial(run_forked, "vqgan")


def test_the_demo_writes_everything_and_is_quick_when_repeated(tmp_path):
    done = vqgan("demo", "--config", TINY, "--runs", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    paths = RunPaths(tmp_path / "tiny")
    run = prepare(Options(config=TINY, runs=tmp_path))
    assert all(run.stages.is_done(stage) for stage in run.stages.by_name.values() if stage.command != "inspect")
    page = paths.report().read_text()
    for heading in ("Reconstructions", "Samples: xar", "Codebooks", "Training", "Verdict"):
        assert f"{heading}</h2>" in page
    assert "http" not in page
    assert "kind vector" in page
    again = vqgan("demo", "--config", TINY, "--runs", tmp_path)
    assert again.returncode == 0
    assert "finished earlier" in again.stderr
    figures = json.loads(paths.evaluation().read_text())
    assert 0 < figures["reconstruction"]["psnr"] < 60
    assert figures["codes"]["bits_per_image"] == pytest.approx(64 * 4.585, rel=1e-3)
    assert figures["codebooks"]["codebook 0"]["usage"] == figures["codes"]["codebook_0_usage"]
    assert {"density_cv", "normalized_entropy", "gini", "wang_isola"} <= set(figures["uniformity"])
    check_inspection(load_editor, COMMANDS, paths, config=TINY)
    check_pipeline(load_pipeline, COMMANDS, paths, config=TINY, generator="xar", seed=run.config.seed)


# Of moving averages, of several streams and of bits; the others in `make slow`.
AT_ONCE = "ema", "residual", "bsq"


@pytest.mark.parametrize(
    "quantizer", [pytest.param(name, marks=() if name in AT_ONCE else pytest.mark.slow) for name in QUANTIZERS]
)
def test_every_quantizer_reaches_its_page_with_every_generator(quantizer, tmp_path, monkeypatch):
    few_images(monkeypatch)
    of_bits = ("generators.masked.num_groups=3",) if quantizer in ("bsq", "lfq") else ()
    short = [
        f"generators.{name}.{key}"
        for name in ("xar", "far", "masked")
        for key in ("train.steps=2", "train.batch_size=4")
    ]
    settings = (with_quantizer(quantizer), *of_bits, *short, "train.steps=2", "losses.perceptual_weight=0")
    options = Options(config=TINY, runs=tmp_path, set=settings, resume=True)
    for stage in ("train-tokenizer", "encode", "train-generator", "sample", "reconstruct", "evaluate", "report"):
        for generator in ("xar", "far", "masked") if stage in ("train-generator", "sample") else ("xar",):
            COMMANDS[stage](replace(options, generator=generator))
    paths = RunPaths(tmp_path / "tiny")
    figures = json.loads(paths.evaluation().read_text())
    books = figures["codebooks"]
    assert list(books) == [f"codebook {number}" for number in range(len(books))]
    learned = quantizer not in ("fsq", "lfq", "bsq")
    assert all(("rms_cosine" in book) == learned for book in books.values())
    for generator in ("xar", "far", "masked"):
        assert load_samples(paths.samples(generator))["images"].shape == (20, 1, 16, 16)
        assert 0 <= figures[f"samples {generator}"]["recognised"] <= 1
    assert "Codebooks</h2>" in paths.report().read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode"], "model.safetensors is missing; run vqgan train-tokenizer --runs"),
        (["train-tokenizer", "--set", "losses.beat=1"], "unknown key losses.beat; the nearest valid name is beta"),
        (["train-tokenizer", "--config", "digit"], "one of digits, emoji64"),
    ],
)
def test_a_mistake_gives_one_line_and_exit_code_2(tmp_path, arguments, message):
    done = vqgan(*arguments, "--runs", tmp_path)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("vqgan: ")]
    assert len(lines) == 1
    assert message in lines[0]
