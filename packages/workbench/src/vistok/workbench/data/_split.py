"""Which images are held out: of every class about the same share, and groups of images as a whole."""

import hashlib
from collections import Counter
from collections.abc import Sequence

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
