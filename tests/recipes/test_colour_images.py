"""Each recipe, whole and with every generator, on small colour images: a folder of classes, and a Parquet file."""

import importlib
import io
import json
from dataclasses import replace

import datasets
import numpy as np
import pytest
from PIL import Image

from _support import glotok_runs, semtok_runs
from vistok.workbench.sampling import load_samples

CONFIGS = {"glotok": glotok_runs.TINY, "semtok": semtok_runs.TINY}
GENERATORS = {"glotok": ("xar", "far", "masked"), "semtok": ("masked", "far")}
CLASSES = ("blue", "orange", "wine")
COLOURS = {"blue": (20, 60, 200), "orange": (250, 140, 10), "wine": (120, 10, 50)}
SHORT = (
    *("train.steps=2", "train.checkpoint_every=2", "data.horizontal_flip=true"),
    *("train_generator.steps=2", "train_generator.checkpoint_every=2", "sample.num_samples=6", "sample.batch_size=4"),
)
SHORTER = {
    "glotok": ("teacher.num_images=20", "losses.discriminator_start=1"),
    "semtok": (
        "train_refiner.steps=2",
        "refiner.discriminator_start=1",
        "sample.progress_samples=3",
        "tokenizer.patch_size=2",
    ),
}


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
    rows = [(CLASSES[n % 3], "validation" if n % 3 == n // 3 % 3 else "train", n) for n in range(400)]
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
    return {"folder": root / "folder", "Parquet": root / "colour.parquet"}


@pytest.mark.parametrize("source", ["folder", "Parquet"])
@pytest.mark.parametrize("recipe", ["glotok", "semtok"])
def test_a_colour_run_reaches_its_report_with_every_generator(recipe, source, sources, tmp_path):
    cli = importlib.import_module(f"{recipe}.cli")
    options = cli.Options(
        config=CONFIGS[recipe], runs=tmp_path, data=str(sources[source]), set=(*SHORT, *SHORTER[recipe]), resume=True
    )
    for stage, (command, _) in cli.STAGES.items():
        for kind in GENERATORS[recipe] if stage in ("train-generator", "sample") else GENERATORS[recipe][:1]:
            command(replace(options, generator=kind))

    paths = cli.RunPaths(tmp_path / "tiny")
    page, figures = paths.report.read_text(), json.loads(paths.evaluation.read_text())
    assert "validation images at 16 px" in page
    assert 0 < figures["reconstruction" if recipe == "glotok" else "refined"]["psnr"] < 60
    for kind in GENERATORS[recipe]:
        drawn = load_samples(paths.samples(kind))
        assert drawn["images"].shape == (6, 3, 16, 16)
        assert drawn["labels"].tolist() == [0, 1, 2, 0, 1, 2]
        assert 0 <= figures[f"samples {kind}"]["recognised"] <= 1
        assert np.isfinite(figures[f"samples {kind}"]["frechet_distance"])
