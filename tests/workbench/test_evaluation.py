"""The figures of a run: what bounds them, what they are of, and where they go."""

import json
import logging

import pytest
import torch

from vistok.workbench.backbones import FeatureBackbone
from vistok.workbench.data import ImageSet, load_images, to_uint8
from vistok.workbench.evaluation import (
    generation_figures,
    image_counts,
    load_evaluation,
    real_figures,
    reconstruction_figures,
    sample_figures,
    write_evaluation,
)
from vistok.workbench.metrics import frechet_distance, pooled_features, psnr
from vistok.workbench.paths import RunPaths
from vistok.workbench.tracking import read_metrics

SIZE = 32


@pytest.fixture(scope="module")
def backbone():
    return FeatureBackbone()


@pytest.fixture(scope="module")
def digits():
    """60 training and 32 validation images of all classes."""
    train, validation = load_images("digits", image_size=16)
    return tuple(
        ImageSet(side.images[::every], side.labels[::every], side.class_names, side.name)
        for side, every in ((train, 75), (validation, 16))
    )


@pytest.fixture(scope="module")
def held_out(backbone, digits):
    return pooled_features(backbone, digits[1].images, image_size=SIZE)


def test_perfect_reconstructions_have_perfect_figures_and_worse_ones_worse(backbone, digits, held_out):
    originals = digits[1].images
    noise = torch.randint(-60, 60, originals.shape, generator=torch.Generator().manual_seed(0))
    noisy = (originals.int() + noise).clamp(0, 255).to(torch.uint8)
    perfect, worse = (
        reconstruction_figures(backbone, originals, images, held_out, image_size=SIZE) for images in (originals, noisy)
    )
    assert list(perfect) == ["psnr", "ssim", "perceptual_distance", "frechet_distance"]
    assert perfect["ssim"] == pytest.approx(1)
    assert perfect["perceptual_distance"] == 0
    assert perfect["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert worse["psnr"] == pytest.approx(psnr(noisy, originals).mean().item())
    assert worse["psnr"] < perfect["psnr"]
    assert worse["ssim"] < 1
    assert worse["perceptual_distance"] > 0
    assert worse["frechet_distance"] > 0


def test_the_floor_is_of_as_many_training_images_as_asked_for(backbone, digits, held_out):
    train, _ = digits
    first, again, other = (
        real_figures(backbone, train, held_out, count=20, seed=seed, image_size=SIZE) for seed in (0, 0, 1)
    )
    assert first["count"] == 20
    assert first == again
    assert first != other
    everything = real_figures(backbone, train, held_out, count=1000, seed=0, image_size=SIZE)
    assert everything["count"] == 60
    expected = frechet_distance(pooled_features(backbone, train.images, image_size=SIZE), held_out)
    assert everything["frechet_distance"] == pytest.approx(expected, rel=1e-4)


def test_samples_that_are_the_held_out_images_have_distance_zero(backbone, digits, held_out):
    _, validation = digits
    copies = {"images": validation.images, "labels": validation.labels}
    figures = sample_figures(backbone, copies, None, held_out, image_size=SIZE)
    assert figures == {"count": 32.0, "frechet_distance": pytest.approx(0, abs=1e-6)}


def generation(backbone, samples, train, validation, held_out):
    return generation_figures(
        backbone, samples, train, validation, held_out, real_count=10, seed=0, image_size=SIZE
    )  # fmt: skip


def test_each_kind_of_generator_is_judged_beside_real_images(backbone, digits, held_out):
    train, validation = digits
    right = {"images": to_uint8(validation.batch(range(32))), "labels": validation.labels}
    wrong = {**right, "labels": (validation.labels + 1) % 10}
    figures = generation(backbone, {"right": right, "wrong": wrong}, train, validation, held_out)
    assert list(figures) == ["real images", "samples right", "samples wrong"]
    assert figures["samples right"]["recognised"] == figures["real images"]["recognised"] > 0.5
    assert figures["samples wrong"]["recognised"] < 0.3
    assert figures["real images"]["count"] == 10


def test_without_samples_there_are_no_figures_of_generation(backbone, digits, held_out):
    assert generation(backbone, {}, *digits, held_out) == {}


def test_images_of_one_class_are_not_recognised(backbone, digits, held_out):
    train, validation = (ImageSet(side.images, torch.zeros_like(side.labels), ("all",), "one") for side in digits)
    samples = {"xar": {"images": validation.images, "labels": validation.labels}}
    figures = generation(backbone, samples, train, validation, held_out)
    assert all("recognised" not in section for section in figures.values())


def test_counts_name_what_could_not_be_read(digits):
    train, validation = digits
    broken = ImageSet(train.images, train.labels, train.class_names, train.name, ("a.png (truncated)",))
    assert image_counts(broken, validation) == {"train": 60, "validation": 32, "skipped": ["a.png (truncated)"]}


def test_figures_are_written_logged_and_appended_once(tmp_path, caplog):
    paths = RunPaths(tmp_path)
    figures = {"reconstruction": {"psnr": 20.25}, "codebooks": {"sizes": [1, 2]}, "real images": {"count": 3.0}}
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            write_evaluation(paths, figures, ("reconstruction", "uniformity", "real images"))
    assert json.loads(paths.evaluation.read_text()) == figures == load_evaluation(paths)
    assert caplog.messages[:2] == ["reconstruction: psnr 20.25", "real images: count 3"]
    line = {"stage": "evaluation", "step": 0, "reconstruction: psnr": 20.25, "real images: count": 3.0}
    assert read_metrics(paths.metrics) == [line]
