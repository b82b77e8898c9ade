"""What is measured of the meaning of tokens, by hand, on tokenizers and recognizers that can be seen through."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from _support.mutants import catches
from _support.semtok_runs import tiny
from _support.strategies import normal, seeded, seeds
from semtok import meaning
from semtok.meaning import (
    add_meaning,
    changed_area,
    class_agreement,
    feature_agreement,
    information_measures,
    partners,
    swap_measures,
    swapped_pictures,
)
from vistok.metrics import Features, NotMeasurableError, to_uint8
from vistok.workbench.data import ImageSet
from vistok.workbench.evaluation.measures import LEFT_OUT, Evaluation
from vistok.workbench.run.tensor_files import load_tensors

SUBJECT = "semtok.meaning"


class FirstPixel:
    """Recognises the first pixel."""

    def predict(self, images):
        return to_uint8(images)[:, 0, 0, 0].long()


class Rows:
    """A tokenizer of grey rows: token ``i`` is the brightness of the ``i``-th of four bands of four rows."""

    settings, device, codebook_sizes, refiner = tiny().tokenizer, torch.device("cpu"), (2**8,), "one"

    def refine_from(self, tokens, start, *, hidden=None):
        return (tokens.float() / 127.5 - 1).repeat_interleave(4, dim=1)[:, None, :, None].expand(-1, 1, -1, 16)


def pixels(classes):
    """Images whose first pixel is their class."""
    return torch.as_tensor(classes, dtype=torch.uint8)[..., None, None, None].expand(
        *torch.as_tensor(classes).shape, 1, 2, 2
    )


@catches(SUBJECT, "for j in range(i)]", "for j in range(i + 1)]")
@catches(SUBJECT, "(seen == own[:, None])", "(seen == seen[:, :1])")
@catches(SUBJECT, "column.bincount().square().sum() - count", "column.bincount().square().sum()")
@catches(SUBJECT, ".view(count, noises)", ".view(noises, count).T")
def test_classes_agree_between_noises_with_the_image_and_by_chance():
    """Seen 1 1, 1 2, 0 0 of images 2, 2, 0: noises agree 2 of 3 times, 3 of 6 as the image, others' 2 of 6 and 0."""
    found = class_agreement(pixels([[1, 1], [1, 2], [0, 0]]), pixels([2, 2, 0]), FirstPixel())
    assert found == pytest.approx({"class_between": 2 / 3, "class_as_original": 1 / 2, "class_other_image": 1 / 6})
    assert "class_other_image" not in class_agreement(pixels([[1, 1]]), pixels([1]), FirstPixel())


@catches(SUBJECT, "square().sum(dim=-1) - noises)", "square().sum(dim=-1))")
@catches(SUBJECT, "square().sum(dim=-1) - count)", "square().sum(dim=-1) - noises)")
@catches(SUBJECT, "(unit * own[:, None])", "(unit * own.roll(1, 0)[:, None])")
@catches(SUBJECT, "normalize(seeds.double(), dim=-1)", "normalize(seeds.double(), dim=1)")
def test_cosines_are_means_over_all_pairs():
    samples, images = normal(0, 5, 3, 4), normal(1, 5, 4)
    cosine = torch.nn.functional.cosine_similarity
    between = [cosine(samples[:, i], samples[:, j]).mean() for i in range(3) for j in range(i)]
    other = [cosine(samples[i], samples[j]).mean() for i in range(5) for j in range(5) if i != j]
    own = cosine(samples, images[:, None], dim=-1)
    wanted = (sum(between) / 3, own.mean(), sum(other) / 20)
    assert list(feature_agreement(samples, images).values()) == pytest.approx(
        [value.item() for value in wanted], abs=1e-6
    )


@catches(SUBJECT, "order.roll(-shift)", "order.roll(-1)")
@catches(SUBJECT, "found[order] = order", "found = order")
@settings(max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=30))
def test_partners_are_each_somebody_elses_and_of_another_class_where_that_can_be(classes):
    labels = torch.tensor(classes)
    found = partners(labels)
    assert torch.equal(found.msort(), torch.arange(len(labels)))
    assert (found != torch.arange(len(labels))).all()
    if 2 * labels.bincount().max() <= len(labels):
        assert (labels[found] != labels).all()


@catches(SUBJECT, "square().sum(dim=1).flatten(1)", "square().flatten(1)")
@catches(SUBJECT, "energy.shape[1] * energy.square()", "energy.square()")
@settings(max_examples=15)
@given(seeds, st.integers(1, 9))
def test_the_area_is_the_share_of_pixels_of_an_even_change(seed, count):
    draws = seeded(seed)
    changed = torch.randperm(9, generator=draws) < count
    even = (changed * 7.0).view(1, 1, 3, 3).repeat(1, 2, 1, 1) * torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    assert changed_area(even).item() == pytest.approx(count / 9)
    uneven = torch.randn(1, 2, 3, 3, generator=draws) * changed.view(3, 3)
    assert 1 / 9 - 1e-9 <= changed_area(uneven).item() <= count / 9 + 1e-9
    assert changed_area(0 * uneven).item() == 0


@catches(
    SUBJECT,
    "torch.arange(tokens.shape[1]) == place, given, tokens)) for",
    "torch.arange(tokens.shape[1]) == place, tokens, given)) for",
)
@catches(SUBJECT, "given = tokens[partners(labels)]\n    whole", "given = tokens\n    whole")
@catches(SUBJECT, "change.square().mean()", "change.square().sum()")
@catches(SUBJECT, "areas[areas > 0]", "areas")
@catches(SUBJECT, "(recognizer.predict(images) != classes)", "(recognizer.predict(images) == classes)")
@catches(SUBJECT, "if len(tokens) < 2:", "if False:")
def test_a_swapped_token_moves_what_it_stands_for():
    """Bands 10, 0, 0, 50 and 30, 0, 8, 50: token 1 moves a quarter by 20, token 3 one by 8, the others nothing."""
    tokens = torch.tensor([[10, 0, 0, 50], [30, 0, 8, 50]])
    labels = torch.tensor([0, 1])
    means, places = swap_measures(Rows(), tokens, labels, torch.tensor([0, 1, 2]), FirstPixel(), seed=0)
    assert places == {"change": [100.0, 0.0, 16.0], "area": [0.25, 0.0, 0.25], "class_changes": [1.0, 0.0, 0.0]}
    assert means == pytest.approx(
        {
            **{"change": 116 / 3, "area": 0.5 / 3, "class_changes": 1 / 3},
            **{"all_change": 116.0, "all_area": (400 + 64) ** 2 / (4 * (400**2 + 64**2)), "all_class_changes": 1.0},
        }
    )
    half = torch.cat([tokens, tokens[:1], tokens[:1]])  # the third image's partner is its equal: it does not change
    _, places = swap_measures(Rows(), half, torch.tensor([0, 1, 0, 1]), torch.tensor([0]), None, seed=0)
    assert places == {"change": [50.0], "area": [0.25]}
    with pytest.raises(NotMeasurableError, match="at least 2 validation images, got 1"):
        swap_measures(Rows(), tokens[:1], labels[:1], torch.tensor([0]), None, seed=0)


@catches(SUBJECT, "found.mean(dim=-1)", "found.mean(dim=0)")
@catches(SUBJECT, "class_information(bits, labels[order])", "class_information(bits, labels)")
@catches(SUBJECT, "labels).corrected", "labels).information")
def test_bits_that_are_the_class_tell_it_and_others_tell_nothing():
    labels = torch.arange(800) % 4
    bits = torch.randint(2, (800, 3, 2), generator=seeded(0))
    bits[:, 1] = torch.stack([labels % 2, labels // 2], dim=1)
    measures, places = information_measures(bits, labels, seed=0)
    assert places.tolist() == pytest.approx([0, 1, 0], abs=0.003)
    assert measures == pytest.approx({"mean": 1 / 3, "most": 1, "permuted": 0, "class_entropy": 2}, abs=0.003)
    independent = torch.randint(2, (800, 40, 6), generator=seeded(1))
    assert abs(information_measures(independent, labels, seed=0)[0]["mean"]) < 0.0005


@catches(SUBJECT, "(tokens[some], *each, given)", "(given, *each, tokens[some])")
def test_a_row_of_pictures_goes_from_the_one_image_to_the_other():
    tokens = torch.tensor([[10, 0, 0, 50], [30, 0, 8, 50]])
    found = swapped_pictures(Rows(), tokens, torch.tensor([0, 1]), seed=0)
    assert found["places"].tolist() == [0, 1, 2, 3]
    assert found["images"].shape == (2, 6, 1, 16, 16)
    assert found["images"][0, :, 0, ::4, 0].tolist() == [
        *([10, 0, 0, 50], [30, 0, 0, 50], [10, 0, 0, 50], [10, 0, 8, 50], [10, 0, 0, 50], [30, 0, 8, 50])
    ]


class Means:
    """A feature network: the means of halves."""

    name = "halves"

    def __call__(self, images):
        return Features(images.float().flatten(2).unflatten(2, (2, -1)).mean(-1).flatten(1) + 1, None, None)

    def fingerprint(self):
        return "none"


@pytest.fixture
def greys(monkeypatch):
    """An evaluation of images of two classes, dark and light."""
    monkeypatch.setattr("vistok.workbench.evaluation.measures.open_network", lambda *_, **__: Means())
    labels = torch.arange(24) % 2
    shades = (labels * 120)[:, None] + torch.randint(100, (24, 4), generator=seeded(0))
    images = shades.to(torch.uint8).repeat_interleave(4, dim=1)[:, None, :, None].expand(-1, 1, -1, 16).contiguous()
    sides = [ImageSet(images[part], labels[part], ("dark", "light"), "greys") for part in (slice(16), slice(16, 24))]
    return lambda **changes: Evaluation(
        tiny().evaluations["default"].model_copy(update=changes), *sides, seed=0
    ), shades


@catches(SUBJECT, 'found["accuracy"] - found[name]', 'found[name] - found["accuracy"]')
@catches(SUBJECT, "recognizer = recognizer_of", "recognizer_of")
@catches(SUBJECT, "unflatten(0, seeds.shape[:2])", "unflatten(0, seeds.shape[1::-1])")
@catches(SUBJECT, "codec().encode(images.batch(some))", "codec().encode(validation.batch(some))")
@catches(SUBJECT, "if values > MOST_VALUES:", "if False:")
def test_all_of_it_stands_in_sections_of_one_evaluation(greys, tmp_path, monkeypatch):
    evaluate, shades = greys
    images = shades[16:].to(torch.uint8).repeat_interleave(4, dim=1)[:, None, :, None].expand(-1, 1, -1, 16)
    stored = {
        **{"tokens": shades[16:], "labels": torch.arange(8) % 2, "noise originals": images[:3]},
        **{"seeds": torch.stack([images[:3], images[:3].flip(2)], dim=1)},
    }
    made = evaluate()
    made.measures["probe"] = {"accuracy": 0.75}
    config = tiny("tokenizer.bits=8", "generators.masked.num_groups=2", "generators.far.num_groups=2")
    add_meaning(made, Rows(), stored, config, tmp_path / "swaps.safetensors")
    found = made.measures
    assert found[LEFT_OUT] == {}
    assert {"class_between", "cosine_between"} <= set(found["agreement"])
    assert found["agreement"]["cosine_to_original"] > 0.9
    assert set(found["places"]) == {"place", "change", "area", "class_changes", "information"}
    assert found["swaps"]["all_class_changes"] == 1
    assert found["probe"]["pixels"] == found["probe"]["pca_codes"] == 1
    assert found["probe"]["above_pixels"] == found["probe"]["above_pca_codes"] == -0.25
    assert load_tensors(tmp_path / "swaps.safetensors")["images"].shape == (4, 6, 1, 16, 16)
    monkeypatch.setattr(meaning, "MOST_VALUES", 255)
    other = evaluate()
    add_meaning(other, Rows(), stored, config, tmp_path / "swaps.safetensors")
    assert "256 values an image are more than the 255" in other.measures[LEFT_OUT]["probe: plain codes"]


def test_without_classes_only_what_needs_none_is_measured(greys, tmp_path):
    evaluate, shades = greys
    made = evaluate()
    for side in (made.train, made.validation):
        object.__setattr__(side, "class_names", ("all",))
        object.__setattr__(side, "labels", torch.zeros_like(side.labels))
    stored = {"tokens": shades[16:], "labels": torch.zeros(8, dtype=torch.int64)}
    stored |= {
        "seeds": made.validation.images[:3, None].expand(-1, 2, -1, -1, -1),
        "noise originals": made.train.images[:3],
    }
    add_meaning(made, Rows(), stored, tiny(), tmp_path / "swaps.safetensors")
    assert set(made.measures["swaps"]) == {"change", "area", "all_change", "all_area"}
    assert not {"information", "probe"} & set(made.measures)
    assert "class_between" not in made.measures["agreement"]
