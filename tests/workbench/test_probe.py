"""A probe is fitted on training images and measured on validation images."""

from types import SimpleNamespace

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import NotMeasurableError
from vistok.workbench.data import ImageSet
from vistok.workbench.evaluation.probe import add_probe

SUBJECT = "vistok.workbench.evaluation.probe"


def image_set(labels, names=("a", "b")):
    labels = torch.tensor(labels)
    return ImageSet(torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), labels, names, "classes")


class Kept(SimpleNamespace):
    """An evaluation that keeps what is added."""

    def add(self, section, what, measure):
        try:
            self.sections.setdefault(section, {}).update(measure())
        except NotMeasurableError:
            self.left_out.append(what)


def kept(train, validation, names=("a", "b")):
    return Kept(
        sections={}, left_out=[], train=image_set(train, names), validation=image_set(validation, names), seed=0
    )


@catches(SUBJECT, "(train, evaluation.train.labels, validation, labels,", "(validation, labels, validation, labels,")
@catches(SUBJECT, "labels.bincount().max()", "labels.bincount().min()")
def test_the_class_is_read_from_training_features_and_guessing_stands_beside_it():
    evaluation = kept([0, 0, 0, 1, 1, 1], [0, 0, 0, 1])
    train = torch.tensor([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])[:, None, None, None]
    validation = torch.tensor([-1.0, -2.0, 4.0, 1.0])[:, None, None, None]
    add_probe(evaluation, "accuracy", train, validation)
    assert evaluation.sections == {"probe": {"accuracy": 0.75, "most_frequent_class": 0.75}}
    add_probe(evaluation, "noise", -train, validation)
    assert evaluation.sections["probe"] == pytest.approx({"accuracy": 0.75, "noise": 0.25, "most_frequent_class": 0.75})


@catches(SUBJECT, "< 2", "< 1")
def test_images_of_one_class_have_no_probe_and_too_few_are_left_out():
    alone = kept([0, 0], [0], ("a",))
    add_probe(alone, "accuracy", torch.zeros(2, 1), torch.zeros(1, 1))
    assert (alone.sections, alone.left_out) == ({}, [])
    few = kept([0, 1], [0])
    add_probe(few, "accuracy", torch.zeros(2, 1), torch.zeros(1, 1))
    assert few.left_out == ["linear probe, accuracy"]
