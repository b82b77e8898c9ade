"""Which images a run is made of, as its records hold it: what shows that some came, went or changed their class."""

from collections.abc import Sequence
from dataclasses import dataclass

from vistok.workbench.config import ConfigError

_LONGEST = 80  # of the names of classes in a message


@dataclass(frozen=True)
class Inventory:
    """What is known of images without decoding them.

    Attributes:
        train: How many there are to train on.
        validation: How many are held out.
        classes: The names of their classes, in order.
        images: A checksum of which they are.
        labels: A checksum of the class of each.
    """

    train: int
    validation: int
    classes: list[str]
    images: str
    labels: str


def surely_same(was: Inventory | None, now: Inventory | None) -> bool:
    """Whether images are known to be the same ones, wherever they lie now: their names have checksums, and equal ones.

    Example:
        >>> surely_same(Inventory(18, 2, ["cats"], "a", "b"), Inventory(18, 2, ["cats"], "a", "b"))
        True
    """
    return was is not None and bool(was.images) and was == now


def check_same(was: Inventory | None, now: Inventory | None, stage: str, first: str) -> None:
    """Check that images are those that a stage was run with, as far as both are known.

    Args:
        was: The images of then.
        now: Those of now.
        stage: Its name.
        first: The command that a run begins with.

    Raises:
        ConfigError: Some were added, taken away, renamed or relabelled.

    Example:
        >>> before, now = Inventory(18, 2, ["cats"], "a", "b"), Inventory(27, 3, ["ants", "cats"], "c", "d")
        >>> check_same(before, now, "encode", "train-tokenizer")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        vistok.workbench.config.ConfigError: data: expected the 18 training and 2 validation images in 1 class ...
    """
    if was is None or now is None or was == now:
        return
    counts = f"{was.train:,} training and {was.validation:,} validation images"
    raise ConfigError(
        f"data: expected the {counts} in {_listed(was.classes, now.classes)} that {stage} was run with, got "
        f"{_change(was, now)}; --fresh with demo or {first}, or another --name, begins anew"
    )


def _change(was: Inventory, now: Inventory) -> str:
    equally_many = (was.train, was.validation) == (now.train, now.validation)
    if equally_many and was.classes == now.classes:
        return "as many, but other ones" if was.images != now.images else "these with other labels"
    counts = "as many" if equally_many else f"{now.train:,} and {now.validation:,}"
    reordered = was.classes != now.classes and sorted(was.classes) == sorted(now.classes)
    return f"{counts} in {_listed(now.classes, was.classes)}{' in another order' if reordered else ''}"


def _listed(classes: Sequence[str], others: Sequence[str]) -> str:
    """Few classes by name; many by their number, with one that the others have not."""
    names = ", ".join(classes)
    if len(classes) > 1 and len(names) <= _LONGEST:
        return f"the classes {names}"
    number = f"{len(classes):,} classes" if len(classes) > 1 else "1 class"
    own = min({*classes} - {*others}, default=None)
    return number if own is None or len(classes) == 1 else f"{number} ({own:.40} among them)"
