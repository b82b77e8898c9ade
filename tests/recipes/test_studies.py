"""Studies of the recipes: every shipped file means configurations that load; one runs, is killed, and goes on."""

import importlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tyro
from safetensors.torch import load_file

from _support.image_files import write_folder
from vistok.workbench.studies.cells import Data, cells_of, chosen_data
from vistok.workbench.studies.command import RunStudyOptions, run_study
from vistok.workbench.studies.schema import load_study

ROOT = Path(__file__).parents[2]
STUDIES = sorted(ROOT.glob("studies/**/*.yaml"))
TINY = ROOT / "tests" / "_support" / "tiny_glotok.yaml"
STUDY = f"""
title: The weight of the histogram
claims: It matters.
recipe: glotok
config: {TINY}
data: {{flat: {{source: IMAGES}}}}
skip: [encode, train-generator, sample, report]
measures: {{PSNR: {{path: reconstruction.psnr, better: higher, digits: 6}}}}
reference: none
rows:
  none: {{set: {{losses.histogram_weight: 0, train.steps: 4}}, paper: {{PSNR: 22.06}}}}
  large: {{set: {{losses.histogram_weight: 5, train.steps: 30}}}}
"""


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: str(path.relative_to(ROOT / "studies")))
def test_every_row_of_every_study_is_a_configuration_that_its_recipe_reads(path):
    study = load_study(path)
    for name in study.data or (None,):
        data = chosen_data(study, name)
        for cell in cells_of(study, path.parent, data=data, seeds=(0,)):
            recipe = importlib.import_module(f"{cell.run.recipe}.cli")
            for command in cell.commands(Path("runs")):
                config = recipe.resolve(read_options(recipe, command))
                commands = [stage.name for stage in recipe.STAGES]
                assert set(cell.skip) <= set(commands), cell.label
                assert not cell.generators or set(cell.generators) <= set(config.generators), cell.label
                assert cell.evaluation is None or cell.evaluation in config.evaluations, cell.label
                assert all(
                    cell.samples is None or cell.samples in config.generators[generator].samples
                    for generator in cell.generators
                ), cell.label


def read_options(recipe, command):
    """The options of a command line, as the recipe's own command reads them."""
    return tyro.cli(recipe.Options, args=command[4:], config=(tyro.conf.FlagCreatePairsOff,))


def configurations(path, data):
    """The rows of a study at one seed, each with its recipe and its configuration."""
    study = load_study(path)
    for cell in cells_of(study, path.parent, data=data, seeds=(0,)):
        recipe = importlib.import_module(f"{cell.run.recipe}.cli")
        yield cell, recipe.resolve(read_options(recipe, cell.commands(Path("runs"))[0]))


def bits_of_an_image(recipe, tokenizer):
    if recipe == "semtok":
        return tokenizer.num_tokens * tokenizer.bits
    both = "semantic_codebook_size", "visual_codebook_size"
    books = [getattr(tokenizer, name) for name in both] if recipe == "glotok" else tokenizer.quantizer.codebook_sizes
    return (tokenizer.image_size >> (len(tokenizer.multipliers) - 1)) ** 2 * sum(map(math.log2, books))


@pytest.mark.parametrize("data", ["digits", "openmoji", "photos"])
def test_every_row_of_the_leaderboard_has_as_many_bits_whatever_the_images(data):
    rows = configurations(ROOT / "studies" / "leaderboard.yaml", Data(data, data))
    assert {cell.row: bits_of_an_image(cell.run.recipe, config.tokenizer) for cell, config in rows} == dict.fromkeys(
        load_study(ROOT / "studies" / "leaderboard.yaml").rows, 1024
    )


def test_the_leaderboard_asks_only_tokenizers_with_a_book_for_measures_of_its_codes():
    measures = load_study(ROOT / "studies" / "leaderboard.yaml").measures
    unmeasured = {
        recipe: [name for name, measure in measures.items() if measure.path_of(recipe) is None]
        for recipe in ("vqgan", "glotok", "semtok")
    }
    of_codes = ["bits a pixel as coded", "usage", "density CV", "Wang-Isola"]
    assert unmeasured == {"vqgan": [], "glotok": [], "semtok": of_codes}


@pytest.mark.parametrize("name", ["bits", "generation", "residual", "uniformity"])
def test_two_books_of_glotok_have_256_codes_each_whatever_the_images(name):
    for data in ("digits", "photos"):
        for cell, config in configurations(ROOT / "studies" / f"glotok_{name}.yaml", Data(data, data)):
            if cell.run.recipe == "glotok":
                size = 512 if "2x" in cell.row else 256
                assert config.tokenizer.semantic_codebook_size == size, cell.label
                assert config.tokenizer.visual_codebook_size == size, cell.label


@pytest.mark.parametrize("path", sorted(ROOT.glob("studies/imagenet256/glotok_*.yaml")), ids=lambda path: path.stem)
def test_tokenizers_of_a_large_study_are_trained_for_as_many_epochs(path):
    epochs = 40 if path.stem == "glotok_weight" else 150
    for cell, config in configurations(path, None):
        found = config.train.steps * config.train.batch_size / 1_281_167
        assert found == pytest.approx(epochs, rel=1e-4), cell.label


def test_studies_that_are_published_still_mean_the_folders_that_they_were_made_in():
    """Their files are joined by these names."""
    for file in sorted(ROOT.glob("benchmarks/results/studies/*/*/study.json")):
        published = json.loads(file.read_text())
        path = ROOT / "studies" / f"{published['study']}.yaml"
        study = load_study(path)
        seeds = tuple(dict.fromkeys(cell["seed"] for cell in published["cells"]))
        cells = cells_of(study, path.parent, data=chosen_data(study, published["data"]), seeds=seeds)
        found = {(cell.row, cell.run.seed): cell.run.name for cell in cells}
        assert {(cell["row"], cell["seed"]): cell["folder"] for cell in published["cells"]}.items() <= found.items()


def start(path, runs):
    command = [sys.executable, "-m", "vistok.workbench.studies", "run", path, "--runs", runs]
    return subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)


def test_a_study_that_is_killed_goes_on_and_ends_with_the_same_numbers(tmp_path):
    path, whole, parted = tmp_path / "weight.yaml", tmp_path / "whole", tmp_path / "parted"
    images = write_folder(tmp_path / "images", 60)
    path.write_text(STUDY.replace("IMAGES", str(images)))
    run_study(RunStudyOptions(study=path, runs=whole, only=("large",)))  # and so with a teacher of its own

    _, large = cells_of(load_study(path), tmp_path, data=Data("flat", str(images)))
    checkpoints = parted / large.run.name / "checkpoints" / "tokenizer"
    killed = start(path, parted)
    while not list(checkpoints.glob("step-*")) and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGTERM)
    _, told = killed.communicate(timeout=60)
    assert killed.returncode == 130, told
    assert "interrupted; the same command goes on from the newest checkpoints" in told
    assert not (parted / large.run.name / "tokenizer" / "model.safetensors").exists()
    run_study(RunStudyOptions(study=path, runs=parted))

    first, second = (json.loads((runs / "weight" / "flat" / "study.json").read_text()) for runs in (whole, parted))
    assert len(second["values"]) == 2
    assert first["values"] == second["values"][1:]
    assert second["differences"]["large"]["PSNR"]["num"] == 1
    tokenizers = [load_file(runs / large.run.name / "tokenizer" / "model.safetensors") for runs in (whole, parted)]
    assert all(tokenizers[0][name].equal(tokenizers[1][name]) for name in tokenizers[0])
    page = (parted / "weight" / "flat" / "study.html").read_text()
    for word in ("The weight of the histogram", "It matters.", "PSNR ↑", "22.06", "one seed", "data:image/png"):
        assert word in page
    stages = json.loads((parted / large.run.name / "stages" / "train-tokenizer.json").read_text())
    assert stages["cost"]["cpu_seconds"] > 0
    assert (parted / large.run.name / "study" / "output.log").stat().st_size > 0
    assert os.path.exists(parted / "weight" / "flat" / "study.md")
