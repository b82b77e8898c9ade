"""Each recipe, whole and with every generator, on small colour images: a folder of classes, and a Parquet file."""

import html
import importlib
import io
import json
import re
from dataclasses import replace

import datasets
import numpy as np
import pytest
from PIL import Image

from _support import glotok_runs, semtok_runs, vqgan_runs
from vistok.workbench.evaluation.sampling import load_samples
from vistok.workbench.run.paths import DEFAULT

CONFIGS = {"glotok": glotok_runs.TINY, "semtok": semtok_runs.TINY, "vqgan": vqgan_runs.TINY}
GENERATORS = {"glotok": ("xar", "far", "masked"), "semtok": ("masked", "far"), "vqgan": ("xar", "far", "masked")}
RECONSTRUCTION = {"glotok": "reconstruction", "semtok": "refined", "vqgan": "reconstruction"}
CLASSES = ("blue", "orange", "wine")
COLOURS = {"blue": (20, 60, 200), "orange": (250, 140, 10), "wine": (120, 10, 50)}
SHORT = (*("train.steps=2", "train.checkpoint_every=2", "data.horizontal_flip=true"),)
SHORTER = {
    "glotok": ("teacher.num_images=20", "losses.discriminator_start=1"),
    "semtok": (
        "train_refiner.steps=2",
        "refiner.discriminator_start=1",
        "generators.masked.samples.default.progress_samples=6",
        "tokenizer.prediction=image",  # and a jump, as the digits' configuration has
        "sampler.jump_at=0.4",
    ),
    "vqgan": ("losses.discriminator_start=1",),
}


def generator_settings(recipe):
    """Two steps of each generator and six images."""
    return [
        f"generators.{name}.{setting}"
        for name in GENERATORS[recipe]
        for setting in (
            "train.steps=2",
            "train.checkpoint_every=2",
            "samples.default.num_samples=6",
            "samples.default.batch_size=4",
        )
    ]


def photograph(colour, number):
    """A noisy patch of one colour on white, in another place for each number."""
    draws = np.random.default_rng(number)
    pixels = np.full((24, 20, 3), 255)
    top, left = draws.integers(0, 10, 2)
    pixels[top : top + 12, left : left + 10] = colour
    noisy = np.clip(pixels + draws.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same pictures as a folder a class, and as one Parquet file without a validation split."""
    root = tmp_path_factory.mktemp("colour")
    rows = [(CLASSES[n % 3], "validation" if n % 3 == n // 3 % 3 else "train", n) for n in range(120)]
    pictures = [photograph(COLOURS[name], n) for name, _, n in rows]
    for (name, split, n), picture in zip(rows, pictures, strict=True):
        folder = root / "folder" / split / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n:03}.png").write_bytes(picture)
    table = datasets.Dataset.from_dict(
        {"image": [{"bytes": p, "path": None} for p in pictures], "label": [CLASSES.index(name) for name, *_ in rows]}
    )
    features = datasets.Features({"image": datasets.Image(decode=False), "label": datasets.ClassLabel(names=CLASSES)})
    table.cast(features).to_parquet(str(root / "colour.parquet"))
    for split, name in (("train", "blue"), ("validation", "wine")):
        (root / "folder" / split / name / "broken.png").write_bytes(b"\x89PNG, it says")
    return {"folder": root / "folder", "Parquet": root / "colour.parquet"}


def run_every_stage(recipe, source, runs, *changes):
    """The paths of a run of all stages with all generators, its page and its measures."""
    cli = importlib.import_module(f"{recipe}.cli")
    settings = (*SHORT, *SHORTER[recipe], *generator_settings(recipe))
    options = cli.Options(config=CONFIGS[recipe], runs=runs, data=str(source), set=(*settings, *changes), resume=True)
    for stage in (command.name for command in cli.STAGES):
        for kind in GENERATORS[recipe] if stage in ("train-generator", "sample") else GENERATORS[recipe][:1]:
            cli.COMMANDS[stage](replace(options, generator=kind))
    paths = cli.RunPaths(runs / "tiny")
    return paths, paths.report().read_text(), json.loads(paths.evaluation().read_text())


def page_of(recipe, paths, measures):
    """The page that a finished run has with other measures."""
    cli, report = (importlib.import_module(f"{recipe}.{name}") for name in ("cli", "report"))
    paths.evaluation().write_text(json.dumps(measures))
    report.write_report(cli.resolve(cli.Options(name="tiny", runs=paths.folder.parent)), paths, DEFAULT)
    return paths.report().read_text()


@pytest.mark.parametrize("recipe", CONFIGS)
def test_a_colour_run_reaches_its_report_with_every_generator(recipe, sources, tmp_path):
    paths, page, measures = run_every_stage(recipe, sources["folder"], tmp_path)
    # Six samples are too few to extrapolate from, and noisy photographs have no constant background.
    expected = ("infinity", *(("refined: noise",) if recipe == "semtok" else ()))
    assert all(any(reason in what for reason in expected) for what in measures["left out"])
    assert 0 < measures[RECONSTRUCTION[recipe]]["psnr"] < 60
    assert 0 < measures["mean image"]["psnr"] < 60
    for kind in GENERATORS[recipe]:
        drawn = load_samples(paths.samples(kind))
        assert drawn["images"].shape == (6, 3, 16, 16)
        assert drawn["labels"].tolist() == [0, 1, 2, 0, 1, 2]
        assert 0 <= measures[f"samples {kind}"]["recognised"] <= 1
        assert 0 <= measures[f"samples {kind}"]["coverage"] <= 1
        assert np.isfinite(measures[f"samples {kind}"]["frechet_distance"])
    assert [name.split(" ")[0] for name in measures["images"]["skipped"]] == [
        "train/blue/broken.png",
        "validation/wine/broken.png",
    ]
    assert all(name.split(" ")[0] in page for name in measures["images"]["skipped"])
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert headings[-2:] == ["Left out", "Verdict"]
    measures["images"]["attribution"] = "Drawn by Ada & Bob, CC BY-SA 4.0"
    assert html.escape(measures["images"]["attribution"]) in page_of(recipe, paths, measures)


@pytest.mark.parametrize("recipe", CONFIGS)
def test_one_validation_image_gives_a_report_that_says_what_is_missing(recipe, sources, tmp_path):
    """From a Parquet file without a validation split."""
    _, page, measures = run_every_stage(recipe, sources["Parquet"], tmp_path, "data.validation_fraction=0.001")
    assert measures["images"]["validation"] == 1
    reconstruction = RECONSTRUCTION[recipe]
    assert 0 < measures[reconstruction]["psnr"] < 60
    assert "frechet_distance" not in measures[reconstruction]
    missing = measures["left out"]
    assert "at least 2 feature vectors, got 1" in missing[f"{reconstruction}: frechet_distance"]
    assert "got 1" in missing["noise: other tokens" if recipe == "semtok" else "uniformity: density"]
    for kind in GENERATORS[recipe]:
        assert f"samples {kind}: diversity" not in missing
    assert all(f"<td>{html.escape(reason)}</td>" in page for reason in missing.values())
