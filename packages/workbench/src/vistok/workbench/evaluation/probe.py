"""How much of an image's class a linear classifier reads from its tokens."""

from collections.abc import Callable

import torch
from torch import Tensor

from vistok.metrics import linear_probe_accuracy
from vistok.workbench.data.drawing import some_images
from vistok.workbench.data.image_set import Images
from vistok.workbench.evaluation.measures import Evaluation

SECTION = "probe"
_AT_A_TIME = 1000

Features = Callable[[Tensor], Tensor]
"""Gives the features ``(n, ...)`` of some images by their indices ``(n,)``."""


def add_probe(evaluation: Evaluation, name: str, train: Features, validation: Features) -> None:
    """Put the accuracy of a linear probe, fitted on training images, into the section ``probe`` as ``name``.

    Beside it stands ``most_frequent_class``, what guessing reaches. Images of one class have no probe. Of a large set
    ``probe_images`` of the evaluation's settings are drawn: no more features are held; 0 of them is no probe.

    Args:
        evaluation: Where it goes.
        name: What its features are called.
        train: Of the training images.
        validation: Of the validation images.
    """
    if len(evaluation.train.class_names) < 2 or not evaluation.settings.probe_images:
        return

    def side(images: Images, features: Features) -> tuple[Tensor, Tensor]:
        chosen = some_images(images, evaluation.settings.probe_images, evaluation.seed)
        return torch.cat([features(part).cpu() for part in chosen.split(_AT_A_TIME)]), images.labels[chosen]

    def measured() -> dict[str, float]:
        held_out, labels = side(evaluation.validation, validation)
        accuracy = linear_probe_accuracy(*side(evaluation.train, train), held_out, labels, seed=evaluation.seed)
        return {name: accuracy, "most_frequent_class": labels.bincount().max().item() / len(labels)}

    evaluation.add(SECTION, f"linear probe, {name}", measured)
