"""Which images are held out: by their hashes alone, or of every class about the same share and groups as a whole."""

import hashlib
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor


def held_out(labels: Tensor, groups: Sequence[str], *, seed: int, fraction: float) -> Tensor:
    """Mask of the validation images: of every class the groups whose hash comes first, up to a share of it.

    A group that no longer fits is passed over, so that the largest stay in training. Where none fits the smallest is
    held out; a class of a single group is all in training. A group counts for the class of its first image.

    Args:
        labels: ``(N,)``, int64.
        groups: The group of each image; images of one group are on one side.
        seed: Decides, with the names of the groups, which are held out.
        fraction: Share of each class that is held out, between 0 and 1.

    Shape:
        - mask: ``(N,)``, bool.

    Example:
        >>> held_out(torch.tensor([0, 0, 0, 0]), ["a", "a", "b", "b"], seed=0, fraction=0.5).sum()
        tensor(2)
    """
    sizes = Counter(groups)
    classes: dict[int, list[str]] = {}
    for group, label in dict(zip(reversed(groups), reversed(labels.tolist()), strict=True)).items():
        classes.setdefault(label, []).append(group)
    taken: set[str] = set()
    for members in classes.values():
        members.sort(key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
        room = round(fraction * sum(sizes[group] for group in members))
        fitting: list[str] = []
        for group in members:
            if sizes[group] <= room and len(fitting) + 1 < len(members):
                fitting.append(group)
                room -= sizes[group]
        if not fitting and len(members) > 1:
            fitting = [min(members, key=sizes.__getitem__)]
        taken.update(fitting)
    return torch.tensor([group in taken for group in groups])


def hash_split(
    keys: Iterable[bytes], readable: Callable[[int], bool], *, seed: int, fraction: float, max_unreadable: int
) -> tuple[list[int], list[int]]:
    """Rows to train on, and rows held out: those below ``fraction`` of the range of hashes.

    At least the rows of one key are held out, and not all. Where no row of a side is readable, the border moves just
    beyond the nearest readable one: both sides have one, if two keys' rows are readable and the others are few.

    Args:
        keys: What decides the side of each row, with the seed.
        readable: Tells it of a row; asked of sides alone that may be unreadable as a whole.
        seed: Decides, with the keys.
        fraction: Expected share that is held out, between 0 and 1.
        max_unreadable: Unreadable rows that a side may have.

    Example:
        >>> hash_split([b"a", b"b", b"c"], lambda row: True, seed=0, fraction=0.1, max_unreadable=1)
        ([1, 2], [0])
        >>> hash_split([b"a", b"b", b"c"], lambda row: row != 0, seed=0, fraction=0.1, max_unreadable=1)
        ([1], [0, 2])
    """
    digests = [hashlib.sha256(f"{seed}:".encode() + key).digest() for key in keys]
    places = [int.from_bytes(digest[:8], "big") for digest in digests]
    order = sorted(range(len(places)), key=places.__getitem__)
    ranked = [places[row] for row in order]
    border = fraction * 2**64
    if len(set(places)) > 1:
        border = min(max(border, ranked[0] + 1), ranked[-1])
    count = bisect_left(ranked, border)
    missing = _missing(order[:count], order[count:], readable, max_unreadable)
    if missing is not None and places[missing] < ranked[-1]:
        count = bisect_right(ranked, places[missing])
    missing = _missing(order[count:][::-1], order[:count][::-1], readable, max_unreadable)
    if missing is not None and places[missing] > ranked[0]:
        count = bisect_left(ranked, places[missing])
    return sorted(order[count:]), sorted(order[:count])


def _missing(side: list[int], others: list[int], readable: Callable[[int], bool], max_unreadable: int) -> int | None:
    """The first readable row of the others that a side needs which has none, with those before it within the limit."""
    if not 0 < len(side) <= max_unreadable or any(map(readable, side)):
        return None
    return next(filter(readable, others[: max_unreadable + 1 - len(side)]), None)
