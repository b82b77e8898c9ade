"""How much of an image's class a linear classifier reads from its tokens."""

from torch import Tensor

from vistok.metrics import linear_probe_accuracy
from vistok.workbench.evaluation.measures import Evaluation

SECTION = "probe"


def add_probe(evaluation: Evaluation, name: str, train: Tensor, validation: Tensor) -> None:
    """Put the accuracy of a linear probe, fitted on training images, into the section ``probe`` as ``name``.

    Beside it stands ``most_frequent_class``, what guessing reaches. Images of one class have no probe.

    Args:
        evaluation: Where it goes.
        name: What its features are called.
        train: Of all training images, ``(N, ...)``.
        validation: Of all validation images, ``(M, ...)``.
    """
    labels = evaluation.validation.labels
    if len(evaluation.train.class_names) < 2:
        return

    def measured() -> dict[str, float]:
        accuracy = linear_probe_accuracy(train, evaluation.train.labels, validation, labels, seed=evaluation.seed)
        return {name: accuracy, "most_frequent_class": labels.bincount().max().item() / len(labels)}

    evaluation.add(SECTION, f"linear probe, {name}", measured)
