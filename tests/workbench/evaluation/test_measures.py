"""The measures of a run: what bounds them, what they are of, and where they go."""

import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import (
    BackboneFeatures,
    FeatureBackbone,
    Features,
    FeatureStatistics,
    ReferenceStatistics,
    frechet_distance,
    from_uint8,
    inception_score,
    neighbour_measures,
    psnr,
    to_uint8,
    write_reference_statistics,
)
from vistok.workbench.config import ConfigError
from vistok.workbench.data import ImageSet, load_images
from vistok.workbench.evaluation import measures as module
from vistok.workbench.evaluation import recognizer
from vistok.workbench.evaluation.measures import (
    Evaluation,
    image_counts,
    measure_names,
)
from vistok.workbench.recipe_config import EvaluateConfig
from vistok.workbench.run.tensor_files import save_tensors

SUBJECT = "vistok.workbench.evaluation.measures"

SIZE = 32


@pytest.fixture(scope="module")
def digits(torchvision_imports):
    """60 training and 32 validation images of all classes."""
    train, validation = load_images("digits", image_size=16)
    return tuple(
        ImageSet(side.images[::every], side.labels[::every], side.class_names, side.name)
        for side, every in ((train, 75), (validation, 16))
    )


SETTINGS = EvaluateConfig(image_size=SIZE, resamples=2)


class Given:
    """A tokenizer that answers the images of a set with given ones."""

    def __init__(self, images, made):
        self.images, self.made = from_uint8(images), from_uint8(made)

    def reconstruct(self, originals):
        same = (originals[:, None] == self.images).flatten(2).all(2)
        return self.made[same.int().argmax(dim=1)]


@pytest.fixture
def evaluation(digits):
    return Evaluation(SETTINGS, *digits, seed=0)


def test_perfect_reconstructions_have_perfect_measures_and_worse_ones_worse(evaluation, digits):
    originals = digits[1].images
    noise = torch.randint(-60, 60, originals.shape, generator=torch.Generator().manual_seed(0))
    noisy = (originals.int() + noise).clamp(0, 255).to(torch.uint8)
    evaluation.add_reconstruction("perfect", Given(originals, originals))
    evaluation.add_reconstruction("worse", Given(originals, noisy))
    perfect, worse = evaluation.measures["perfect"], evaluation.measures["worse"]
    assert {"psnr", "ssim", "perceptual_distance", "frechet_distance"} <= set(perfect)
    assert perfect["ssim"] == pytest.approx(1)
    assert perfect["perceptual_distance"] == 0
    assert perfect["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert worse["psnr"] == pytest.approx(psnr(noisy, originals).mean().item())
    assert worse["psnr"] < perfect["psnr"]
    assert worse["ssim"] < 1
    assert worse["perceptual_distance"] > 0
    assert worse["frechet_distance"] > 0
    assert evaluation.measures["choices"]["count"] == 32


@catches(SUBJECT, 'section if name == "reconstruction" else name', "section")
def test_a_tokenizer_with_codebooks_has_their_measures_in_a_section_of_their_own(digits):
    class Levels:
        """Sixteen grey levels."""

        codebook_sizes = (16,)

        def encode(self, images):
            return ((images + 1) * 7.5).round().long()

        def decode(self, tokens):
            return tokens / 7.5 - 1

    evaluation = Evaluation(SETTINGS, *digits, seed=0)
    evaluation.add_reconstruction("reconstruction", Levels())
    assert evaluation.measures["codes"]["bits_per_pixel"] == 4.0
    assert set(evaluation.measures["reconstruction"]) >= {"frechet_distance", "frechet_distance_deviation"}
    assert not any("codebook" in name for name in evaluation.measures["reconstruction"])


def test_the_mean_image_is_that_of_the_training_images(evaluation, digits):
    train, validation = digits
    evaluation.add_mean_image()
    mean = train.images.double().mean(dim=0).round().to(torch.uint8).expand(32, -1, -1, -1)
    expected = psnr(mean, validation.images).mean().item()
    assert evaluation.measures["mean image"]["psnr"] == pytest.approx(expected, abs=1e-3)


class Watched(ImageSet):
    """A set that notes how many images are asked for at a time."""

    asked: ClassVar[list] = []

    def pixels(self, indices, crops=None):
        self.asked.append(len(indices))
        return super().pixels(indices, crops)


@catches(SUBJECT, "order.split(self._at_a_time)", "order.split(500)")
@catches(SUBJECT, "parts = held_out.split(self._at_a_time)", "parts = held_out.split(500)")
def test_the_mean_image_and_the_recognizer_take_held_out_and_training_images_a_few_at_a_time(digits, monkeypatch):
    monkeypatch.setattr(module, "at_a_time", lambda image_size: 10)
    monkeypatch.setattr(module, "recognizer_of", lambda train, seed: recognizer.recognizer_of(digits[0], seed))
    watched = [Watched(side.images, side.labels, side.class_names, side.name) for side in digits]
    made = Evaluation(SETTINGS, *watched, seed=0)
    Watched.asked.clear()
    made.add_mean_image()
    made.add("real images", "recognised", made._recognised)
    assert max(Watched.asked) == 10
    assert sum(Watched.asked) == 60 + 32 + 32
    held_out = digits[1]
    expected = made.recognizer.accuracy(held_out.images, held_out.labels)
    assert made.measures["real images"]["recognised"] == pytest.approx(expected)


def add_generation(made, samples):
    """As from the files of a run."""
    with tempfile.TemporaryDirectory() as folder:
        files = {label: Path(folder) / f"{number}.safetensors" for number, label in enumerate(samples)}
        for label, drawn in samples.items():
            save_tensors(files[label], drawn)
        made.add_generation(files)


def generation(settings, samples, train, validation, *, seed=0):
    made = Evaluation(settings, train, validation, seed=seed)
    add_generation(made, samples)
    return made.measures


def changed(**values):
    return SETTINGS.model_copy(update=values)


def test_samples_and_held_out_images_are_compared_with_training_images(digits):
    train, validation = digits
    samples = {"xar": {"images": validation.images[:8], "labels": validation.labels[:8]}}
    measures = generation(SETTINGS, samples, *digits)
    assert measures["reference"] == {"of": "training", "count": 60, "real images": "held-out"}
    real = measures["real images"]
    assert real["count"] == 8  # as many as there are samples
    network = BackboneFeatures(FeatureBackbone(), SIZE)
    features, drawn = (network(pixels).pooled for pixels in (train.images, validation.images[:8]))
    expected = frechet_distance(drawn, features)
    assert measures["samples xar"]["frechet_distance"] == pytest.approx(expected, rel=1e-4)
    found = neighbour_measures(features, drawn, k=(3, 5))
    assert measures["samples xar"]["precision"] == pytest.approx(found[3].precision, abs=0.04)
    assert measures["samples xar"]["coverage"] == pytest.approx(found[5].coverage, abs=0.04)


@catches(SUBJECT, "else (held_out, training)", "else (training, held_out)")
def test_held_out_images_are_the_reference_where_the_settings_say_so(digits):
    _, validation = digits
    copies = {"copies": {"images": validation.images, "labels": validation.labels}}
    measures = generation(changed(reference="validation"), copies, *digits)
    assert measures["reference"] == {"of": "held-out", "count": 32, "real images": "training"}
    copied = measures["samples copies"]
    assert copied["count"] == 32.0
    assert copied["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert [copied[name] for name in ("precision", "recall", "coverage")] == [1.0, 1.0, 1.0]
    assert copied["diversity"] == pytest.approx(1.0)
    first, other = (
        generation(changed(reference="validation"), copies, *digits, seed=seed)["real images"] for seed in (0, 1)
    )
    assert first == measures["real images"]
    assert first != other


@catches(SUBJECT, "some_images(images, count, self.seed)", "some_images(images, len(images), self.seed)")
def test_the_reference_has_no_more_images_than_asked_for(digits):
    _, validation = digits
    samples = {"xar": {"images": validation.images, "labels": validation.labels}}
    measures = generation(changed(reference_images=20), samples, *digits)
    assert measures["reference"]["count"] == 20
    everything = generation(changed(reference_images=1000), samples, *digits)
    assert everything["reference"]["count"] == 60


def statistics_of(features):
    stream = FeatureStatistics(features.shape[1])
    stream.update(features)
    return stream.compute()


@catches(SUBJECT, "if path is None:", "if True:")
@catches(SUBJECT, "if len(factor.mean) != features.shape[1]:", "if False:")
@catches(SUBJECT, "except (ValueError, OSError) as error:", "except OSError as error:")
def test_distances_are_to_the_statistics_of_a_file_where_the_settings_name_one(digits, tmp_path):
    train, validation = digits
    network = BackboneFeatures(FeatureBackbone(), image_size=SIZE)
    seen = [network(to_uint8(images.batch(range(len(images))))).pooled for images in (train, validation)]
    path = tmp_path / "all.npz"
    write_reference_statistics(path, ReferenceStatistics(statistics_of(seen[0][::2])))
    samples = {"xar": {"images": validation.images, "labels": validation.labels}}
    plain, measures = (
        generation(changed(reference_statistics=statistics), samples, *digits) for statistics in (None, str(path))
    )
    wanted = frechet_distance(seen[1], seen[0][::2])
    assert measures["samples xar"]["frechet_distance"] == pytest.approx(wanted, rel=1e-6)
    assert measures["real images"]["frechet_distance"] == pytest.approx(wanted, rel=1e-6)
    assert plain["samples xar"]["frechet_distance"] != pytest.approx(wanted, rel=1e-2)
    assert measures["samples xar"]["precision"] == plain["samples xar"]["precision"]
    assert measures["reference"] == plain["reference"] | {"statistics": "all.npz"}
    write_reference_statistics(path, ReferenceStatistics(statistics_of(seen[0][:, :7])))
    with pytest.raises(ConfigError, match=r"^reference_statistics: expected statistics of 1280 features, .* got 7 in "):
        generation(changed(reference_statistics=str(path)), samples, *digits)
    path.write_text("no archive")
    with pytest.raises(ConfigError, match=r"^reference_statistics: .*all\.npz"):
        generation(changed(reference_statistics=str(path)), samples, *digits)


def test_the_deviation_of_a_distance_is_left_out_where_no_resamples_are_asked_for(digits):
    _, validation = digits
    samples = {"xar": {"images": validation.images, "labels": validation.labels}}
    with_it, without = (generation(changed(resamples=count), samples, *digits)["samples xar"] for count in (2, 0))
    assert with_it.pop("frechet_distance_deviation") > 0
    assert with_it == without


class Classifier:
    """A network that is sure of each image's brightest half."""

    name, preprocessing = "Inception (stand-in)", "none"

    def fingerprint(self):
        return "none"

    def __call__(self, images):
        halves = images.float().flatten(1).view(len(images), 2, -1).mean(2)
        return Features(halves, None, torch.nn.functional.one_hot(halves.argmax(1), 2).float())


def test_a_network_with_classes_gives_the_inception_score_and_no_perceptual_distance(digits, monkeypatch):
    monkeypatch.setattr(module, "open_network", lambda name, **_: Classifier())
    _, validation = digits
    samples = {"xar": {"images": validation.images, "labels": validation.labels}}
    made = Evaluation(changed(backbone="inception"), *digits, seed=0)
    add_generation(made, samples)
    made.add_reconstruction("reconstruction", Given(validation.images, validation.images))
    assert made.measures["names"]["frechet_distance"] == "FID"
    expected = inception_score(Classifier()(validation.images).probabilities, seed=0).mean
    assert made.measures["samples xar"]["inception_score"] == pytest.approx(expected)
    assert "perceptual_distance" not in made.measures["reconstruction"]


def test_each_kind_of_generator_is_judged_beside_real_images(digits):
    _, validation = digits
    right = {"images": to_uint8(validation.batch(range(32))), "labels": validation.labels}
    wrong = {**right, "labels": (validation.labels + 1) % 10}
    measures = generation(SETTINGS, {"right": right, "wrong": wrong}, *digits)
    assert list(measures)[-3:] == ["real images", "samples right", "samples wrong"]
    assert measures["samples right"]["recognised"] == measures["real images"]["recognised"] > 0.5
    assert measures["samples wrong"]["recognised"] < 0.3
    assert measures["real images"]["chance"] == 0.1


@catches(
    SUBJECT,
    "self.reference.features, self.reference.labels, features, side.labels",
    "features, side.labels, self.reference.features, self.reference.labels",
)
def test_one_picture_a_class_is_recognised_but_not_diverse(digits):
    """What recognition alone calls perfect."""
    _, validation = digits
    firsts = torch.tensor([int((validation.labels == label).nonzero()[0, 0]) for label in range(10)])
    repeated = {"images": validation.images[firsts].repeat(5, 1, 1, 1), "labels": torch.arange(10).repeat(5)}
    measures = generation(SETTINGS, {"xar": repeated}, *digits)
    values, real = measures["samples xar"], measures["real images"]
    assert values["recognised"] > 0.8 * real["recognised"]
    assert values["diversity"] < 0.01 < real["diversity"]
    assert values["recall"] < 0.5


def test_without_samples_there_are_no_measures_of_generation(digits):
    assert list(generation(SETTINGS, {}, *digits)) == ["features", "names", "left out"]


def test_the_recognizer_is_fitted_on_some_images_of_a_large_set(digits, monkeypatch):
    _, validation = digits
    samples = {"xar": {"images": validation.images[:8], "labels": validation.labels[:8]}}
    many = generation(SETTINGS, samples, *digits)["real images"]["recognised"]
    monkeypatch.setattr(recognizer, "MOST", 20)
    few = generation(SETTINGS, samples, *digits)["real images"]["recognised"]
    assert few != many


def test_images_of_one_class_are_not_recognised(digits):
    train, validation = (ImageSet(side.images, torch.zeros_like(side.labels), ("all",), "one") for side in digits)
    samples = {"xar": {"images": validation.images, "labels": validation.labels}}
    measures = generation(SETTINGS, samples, train, validation)
    assert all("recognised" not in measures[section] for section in ("real images", "samples xar"))


def test_what_the_data_do_not_allow_is_left_out_with_its_reason(digits, caplog):
    train, validation = digits
    one = ImageSet(validation.images[:1, :, :8, :8], validation.labels[:1], validation.class_names, "one")
    made = Evaluation(SETTINGS, train, one, seed=0)
    made.add_reconstruction("reconstruction", Given(one.images, one.images))
    assert {"psnr", "perceptual_distance"} <= set(made.measures["reconstruction"])
    assert not {"ssim", "frechet_distance"} & set(made.measures["reconstruction"])
    reasons = made.measures["left out"]
    assert "at least 11 pixels a side" in reasons["reconstruction: ssim"]
    assert "at least 2" in reasons["reconstruction: frechet_distance"]
    assert "reconstruction: ssim is left out: " in caplog.text


@catches(SUBJECT, "cache(self._reference_factor)", "(lambda factor: lambda: factor)(self._reference_factor())")
def test_a_reference_of_one_image_leaves_out_what_needs_more(digits):
    train, validation = digits
    one = ImageSet(validation.images[:1], validation.labels[:1], validation.class_names, "one")
    samples = {"xar": {"images": train.images[:8], "labels": train.labels[:8]}}
    made = Evaluation(SETTINGS.model_copy(update={"reference": "validation"}), train, one, seed=0)
    add_generation(made, samples)
    for section in ("real images", "samples xar"):
        for measure in ("frechet_distance", "frechet_distance_at_infinity", "frechet_distance_deviation"):
            assert measure not in made.measures[section]
            assert "at least 2" in made.measures["left out"][f"{section}: {measure}"]
        assert "recognised" in made.measures[section]


def test_measures_are_called_by_the_network_that_they_are_measured_in(digits, tmp_path):
    import timm

    assert measure_names(EvaluateConfig())["perceptual_distance"] == "Lite0 perceptual distance"
    torch.manual_seed(0)
    weights = tmp_path / "mine.pth"
    torch.save(timm.create_model("resnet10t.c3_in1k", pretrained=False).state_dict(), weights)
    settings = changed(backbone="resnet10t.c3_in1k", weights=str(weights))
    made = Evaluation(settings, *digits, seed=0)
    assert made.network(digits[1].images[:4]).pooled.shape == (4, 512)
    assert made.measures["names"] == {
        "perceptual_distance": "perceptual distance on resnet10t.c3_in1k (mine.pth)",
        "frechet_distance": "Frechet distance on resnet10t.c3_in1k (mine.pth)",
    }
    own = FeatureBackbone("resnet10t.c3_in1k", weights=weights)
    assert made.measures["features"] == f"resnet10t.c3_in1k (mine.pth) at {SIZE} px, weights {own.fingerprint()}"


@catches(SUBJECT, "[*train.skipped, *validation.skipped]", "[*validation.skipped]")
def test_counts_name_what_could_not_be_read(digits):
    train, validation = digits
    broken = ImageSet(train.images, train.labels, train.class_names, train.name, ("a.png (truncated)",))
    assert image_counts(broken, validation) == {"train": 60, "validation": 32, "skipped": ["a.png (truncated)"]}
