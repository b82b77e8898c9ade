"""The figures of a run: what bounds them, what they are of, and where they go."""

import json
import logging

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import FeatureBackbone, density_coverage, fit_recognizer, frechet_distance, psnr, to_uint8
from vistok.workbench.data import ImageSet, batch_indices, load_images
from vistok.workbench.evaluation import figures as module
from vistok.workbench.evaluation.features import pooled_features
from vistok.workbench.evaluation.figures import (
    Evaluation,
    image_counts,
    load_evaluation,
    measure_names,
    write_evaluation,
)
from vistok.workbench.recipe_config import EvaluateConfig
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.tracking import read_metrics

SUBJECT = "vistok.workbench.evaluation.figures"

SIZE = 32


@pytest.fixture(scope="module")
def digits(torchvision_imports):
    """60 training and 32 validation images of all classes."""
    train, validation = load_images("digits", image_size=16)
    return tuple(
        ImageSet(side.images[::every], side.labels[::every], side.class_names, side.name)
        for side, every in ((train, 75), (validation, 16))
    )


@pytest.fixture
def evaluation(digits):
    return Evaluation(EvaluateConfig(image_size=SIZE), digits[1].images, digits[1].labels)


def test_perfect_reconstructions_have_perfect_figures_and_worse_ones_worse(evaluation, digits):
    originals = digits[1].images
    noise = torch.randint(-60, 60, originals.shape, generator=torch.Generator().manual_seed(0))
    noisy = (originals.int() + noise).clamp(0, 255).to(torch.uint8)
    evaluation.add_reconstruction("perfect", originals)
    evaluation.add_reconstruction("worse", noisy)
    perfect, worse = evaluation.figures["perfect"], evaluation.figures["worse"]
    assert list(perfect) == ["psnr", "ssim", "perceptual_distance", "frechet_distance"]
    assert perfect["ssim"] == pytest.approx(1)
    assert perfect["perceptual_distance"] == 0
    assert perfect["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert worse["psnr"] == pytest.approx(psnr(noisy, originals).mean().item())
    assert worse["psnr"] < perfect["psnr"]
    assert worse["ssim"] < 1
    assert worse["perceptual_distance"] > 0
    assert worse["frechet_distance"] > 0


def test_the_mean_image_is_that_of_the_training_images(evaluation, digits):
    train, validation = digits
    evaluation.add_mean_image(train, seed=0)
    mean = train.images.double().mean(dim=0).round().to(torch.uint8).expand(32, -1, -1, -1)
    expected = psnr(mean, validation.images).mean().item()
    assert evaluation.figures["mean image"]["psnr"] == pytest.approx(expected, abs=1e-3)


def generation(settings, samples, train, validation, *, real_count=10, seed=0):
    made = Evaluation(settings, validation.images, validation.labels)
    made.add_generation(samples, train, real_count=real_count, seed=seed)
    return made.figures


def test_the_floor_is_of_as_many_training_images_as_asked_for(digits):
    settings, (_, validation) = EvaluateConfig(image_size=SIZE), digits
    samples = {"xar": {"images": validation.images[:8], "labels": validation.labels[:8]}}
    first, again, other = (
        generation(settings, samples, *digits, real_count=20, seed=seed)["real images"] for seed in (0, 0, 1)
    )
    assert first["count"] == 20
    assert first == again
    assert first != other
    everything = generation(settings, samples, *digits, real_count=1000)["real images"]
    assert everything["count"] == 60
    features, held_out = (pooled_features(FeatureBackbone(), side.images, image_size=SIZE) for side in digits)
    assert everything["frechet_distance"] == pytest.approx(frechet_distance(features, held_out), rel=1e-4)
    assert everything["coverage"] == pytest.approx(density_coverage(held_out, features).coverage, abs=0.04)


def test_samples_that_are_the_held_out_images_are_perfect(digits):
    _, validation = digits
    copies = {"copies": {"images": validation.images, "labels": validation.labels}}
    figures = generation(EvaluateConfig(image_size=SIZE), copies, *digits)["samples copies"]
    assert figures["count"] == 32.0
    assert figures["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert [figures[name] for name in ("precision", "recall", "coverage")] == [1.0, 1.0, 1.0]
    assert figures["diversity"] == pytest.approx(1.0)


def test_each_kind_of_generator_is_judged_beside_real_images(digits):
    train, validation = digits
    right = {"images": to_uint8(validation.batch(range(32))), "labels": validation.labels}
    wrong = {**right, "labels": (validation.labels + 1) % 10}
    figures = generation(EvaluateConfig(image_size=SIZE), {"right": right, "wrong": wrong}, train, validation)
    assert list(figures)[-3:] == ["real images", "samples right", "samples wrong"]
    assert figures["samples right"]["recognised"] == figures["real images"]["recognised"] > 0.5
    assert figures["samples wrong"]["recognised"] < 0.3
    assert figures["real images"]["count"] == 10
    assert figures["real images"]["chance"] == 0.1


@catches(
    SUBJECT,
    "relative_diversity(held_out, self.labels, features, labels)",
    "relative_diversity(features, labels, held_out, self.labels)",
)
def test_one_picture_a_class_is_recognised_but_not_diverse(digits):
    """What recognition alone calls perfect."""
    train, validation = digits
    firsts = torch.tensor([int((validation.labels == label).nonzero()[0, 0]) for label in range(10)])
    repeated = {"images": validation.images[firsts].repeat(5, 1, 1, 1), "labels": torch.arange(10).repeat(5)}
    figures = generation(EvaluateConfig(image_size=SIZE), {"xar": repeated}, train, validation, real_count=30)
    values, real = figures["samples xar"], figures["real images"]
    assert values["recognised"] > 0.8 * real["recognised"]
    assert values["precision"] == 1.0
    assert values["diversity"] < 0.01 < real["diversity"]
    assert values["recall"] < 0.5


def test_without_samples_there_are_no_figures_of_generation(digits):
    figures = generation(EvaluateConfig(image_size=SIZE), {}, *digits)
    assert list(figures) == ["features", "measures", "left out"]


def test_the_judge_is_fitted_on_some_images_of_a_large_set(digits, monkeypatch):
    train, validation = digits
    samples = {"xar": {"images": validation.images[:8], "labels": validation.labels[:8]}}
    many = generation(EvaluateConfig(image_size=SIZE), samples, *digits)["real images"]["recognised"]
    monkeypatch.setattr(module, "_JUDGED_BY", 20)
    few = generation(EvaluateConfig(image_size=SIZE), samples, *digits)["real images"]["recognised"]
    drawn = batch_indices(60, 20, step=0, seed=0)
    judge = fit_recognizer(train.images[drawn], train.labels[drawn])
    assert few == judge.accuracy(validation.images, validation.labels)
    assert few != many


def test_images_of_one_class_are_not_recognised(digits):
    train, validation = (ImageSet(side.images, torch.zeros_like(side.labels), ("all",), "one") for side in digits)
    samples = {"xar": {"images": validation.images, "labels": validation.labels}}
    figures = generation(EvaluateConfig(image_size=SIZE), samples, train, validation)
    assert all("recognised" not in figures[section] for section in ("real images", "samples xar"))


def test_what_the_data_do_not_allow_is_left_out_with_its_reason(digits, caplog):
    _, validation = digits
    made = Evaluation(EvaluateConfig(image_size=SIZE), validation.images[:1, :, :8, :8], validation.labels[:1])
    made.add_reconstruction("reconstruction", made.originals)
    assert set(made.figures["reconstruction"]) == {"psnr", "perceptual_distance"}
    assert made.figures["left out"] == {
        "reconstruction: SSIM": "images must be at least 11 pixels a side for SSIM, got (8, 8)",
        "reconstruction: Frechet distance": "first must hold at least 2 feature vectors, got 1",
    }
    assert "reconstruction: SSIM is left out: images must be" in caplog.text


def test_a_mistake_is_not_left_out(evaluation):
    with pytest.raises(ValueError, match="same"):
        evaluation.add_reconstruction("reconstruction", evaluation.originals[:5])


def test_figures_are_called_by_the_network_that_they_are_measured_in(digits, tmp_path):
    import timm

    assert measure_names(EvaluateConfig())["perceptual_distance"] == "Lite0 perceptual distance"
    torch.manual_seed(0)
    weights = tmp_path / "mine.pth"
    torch.save(timm.create_model("resnet10t.c3_in1k", pretrained=False).state_dict(), weights)
    settings = EvaluateConfig(backbone="resnet10t.c3_in1k", weights=str(weights), image_size=SIZE)
    made = Evaluation(settings, digits[1].images[:4], digits[1].labels[:4])
    assert made.features(digits[1].images[:4]).shape == (4, 512)
    assert made.figures["measures"] == {
        "perceptual_distance": "perceptual distance on resnet10t.c3_in1k (mine.pth)",
        "frechet_distance": "Frechet distance on resnet10t.c3_in1k (mine.pth)",
    }
    own = FeatureBackbone("resnet10t.c3_in1k", weights=weights)
    assert made.figures["features"] == f"resnet10t.c3_in1k at {SIZE} px, weights {own.fingerprint()}"


@catches(SUBJECT, "[*train.skipped, *validation.skipped]", "[*validation.skipped]")
def test_counts_name_what_could_not_be_read(digits):
    train, validation = digits
    broken = ImageSet(train.images, train.labels, train.class_names, train.name, ("a.png (truncated)",))
    assert image_counts(broken, validation) == {"train": 60, "validation": 32, "skipped": ["a.png (truncated)"]}


@catches(SUBJECT, "    metrics.rewind(stage, -1)\n", "")
def test_figures_are_written_logged_and_appended_once(tmp_path, caplog):
    paths = RunPaths(tmp_path)
    figures = {"reconstruction": {"psnr": 20.25}, "codebooks": {"sizes": [1, 2]}, "real images": {"count": 3.0}}
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            write_evaluation(paths, "default", figures, ("reconstruction", "uniformity", "real images"))
    assert json.loads(paths.evaluation().read_text()) == figures == load_evaluation(paths)
    assert caplog.messages[:2] == ["reconstruction: psnr 20.25", "real images: count 3"]
    line = {"stage": "evaluation", "step": 0, "reconstruction: psnr": 20.25, "real images: count": 3.0}
    assert read_metrics(paths.metrics) == [line]
