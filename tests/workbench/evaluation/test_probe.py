"""A probe is fitted on training images and measured on validation images."""

from types import SimpleNamespace

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import NotMeasurableError
from vistok.workbench.data import ImageSet
from vistok.workbench.evaluation.probe import add_probe
from vistok.workbench.recipe_config import EvaluateConfig

SUBJECT = "vistok.workbench.evaluation.probe"


def image_set(labels, names=("a", "b")):
    labels = torch.tensor(labels)
    return ImageSet(
        torch.zeros(1, 1, 8, 8, dtype=torch.uint8).expand(len(labels), -1, -1, -1), labels, names, "classes"
    )


class Kept(SimpleNamespace):
    """An evaluation that keeps what is added."""

    def add(self, section, what, measure):
        try:
            self.sections.setdefault(section, {}).update(measure())
        except NotMeasurableError:
            self.left_out.append(what)


def kept(train, validation, names=("a", "b"), **settings):
    sides = {"train": image_set(train, names), "validation": image_set(validation, names)}
    return Kept(sections={}, left_out=[], **sides, seed=0, settings=EvaluateConfig(**settings))


@catches(SUBJECT, "*side(evaluation.train, train),", "*side(evaluation.validation, validation),")
@catches(SUBJECT, "labels.bincount().max()", "labels.bincount().min()")
def test_the_class_is_read_from_training_features_and_guessing_stands_beside_it():
    evaluation = kept([0, 0, 0, 1, 1, 1], [0, 0, 0, 1])
    train = torch.tensor([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])[:, None, None, None]
    validation = torch.tensor([-1.0, -2.0, 4.0, 1.0])[:, None, None, None]
    add_probe(evaluation, "accuracy", train.__getitem__, validation.__getitem__)
    assert evaluation.sections == {"probe": {"accuracy": 0.75, "most_frequent_class": 0.75}}
    add_probe(evaluation, "noise", (-train).__getitem__, validation.__getitem__)
    assert evaluation.sections["probe"] == pytest.approx({"accuracy": 0.75, "noise": 0.25, "most_frequent_class": 0.75})


@catches(SUBJECT, " or not evaluation.settings.probe_images", "")
def test_of_no_images_there_is_no_probe():
    evaluation = kept([0, 0, 0, 1, 1, 1], [0, 0, 0, 1], probe_images=0)
    add_probe(evaluation, "accuracy", torch.zeros(6, 1).__getitem__, torch.zeros(4, 1).__getitem__)
    assert (evaluation.sections, evaluation.left_out) == ({}, [])


@catches(SUBJECT, "< 2", "< 1")
def test_images_of_one_class_have_no_probe_and_too_few_are_left_out():
    alone = kept([0, 0], [0], ("a",))
    add_probe(alone, "accuracy", torch.zeros(2, 1).__getitem__, torch.zeros(1, 1).__getitem__)
    assert (alone.sections, alone.left_out) == ({}, [])
    few = kept([0, 1], [0])
    add_probe(few, "accuracy", torch.zeros(2, 1).__getitem__, torch.zeros(1, 1).__getitem__)
    assert few.left_out == ["linear probe, accuracy"]


class Counted:
    """Features of a large set, made when they are asked for: how many at a time, and of whom."""

    def __init__(self, labels):
        self.labels, self.asked = labels, []

    def __call__(self, some):
        self.asked.append(some)
        return self.labels[some].float()[:, None] * 2 - 1


@catches(SUBJECT, "chosen.split(_AT_A_TIME)", "chosen.split(len(chosen))")
@catches(SUBJECT, "evaluation.settings.probe_images, evaluation.seed", "len(images), evaluation.seed")
@catches(SUBJECT, "images.labels[chosen]", "images.labels[: len(chosen)]")
def test_of_a_large_set_so_many_images_are_drawn_and_a_thousand_at_a_time_are_made():
    labels = torch.randint(2, (100_000,), generator=torch.Generator().manual_seed(0))
    evaluation = kept(labels.tolist(), labels[:50_000].tolist(), probe_images=2500)
    sides = Counted(labels), Counted(labels[:50_000])
    add_probe(evaluation, "accuracy", *sides)
    assert evaluation.sections["probe"]["accuracy"] == 1
    for side in sides:
        assert [len(some) for some in side.asked] == [1000, 1000, 500]
        drawn = torch.cat(side.asked)
        assert len(drawn.unique()) == 2500
        assert 0.45 < (drawn.float().mean() / len(side.labels)).item() < 0.55
