"""Of codes: which lie nearest, in which classes and images they occur, and where they occur most often."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def neighbours_of_codes(codes: Tensor, rows: Tensor, count: int, *, block: int = 2**22) -> tuple[Tensor, Tensor]:
    """The other codes that some codes point to most alike, by cosine in float64, the nearest first.

    Of equal cosines the code of the lower row comes first. A code of length 0 has cosine 0 with all.

    Args:
        codes: All, ``(K, d)``.
        rows: Which are asked for, ``(n,)``.
        count: How many of each, at most; fewer where there are no more.
        block: Cosines that are held at a time, about.

    Returns:
        Their rows ``(n, count)`` int64, and the cosines ``(n, count)`` float64.

    Example:
        >>> rows, cosines = neighbours_of_codes(torch.tensor([[1.0, 0], [0, 2], [1, 1]]), torch.tensor([0]), 2)
        >>> rows.tolist(), [round(cosine, 3) for cosine in cosines[0].tolist()]
        ([[2, 1]], [0.707, 0.0])
    """
    unit = F.normalize(codes.detach().cpu().double(), dim=1)
    count = min(count, len(unit) - 1)
    found, cosines = [rows.new_zeros(0, count)], [unit.new_zeros(0, count)]
    for some in rows.split(max(1, block // max(1, len(unit)))):
        cosine = unit[some] @ unit.T
        cosine[torch.arange(len(some)), some] = -torch.inf  # none is its own neighbour
        order = cosine.sort(dim=1, descending=True, stable=True)
        found.append(order.indices[:, :count])
        cosines.append(order.values[:, :count])
    return torch.cat(found), torch.cat(cosines)


def class_profile(tokens: Tensor, labels: Tensor, rows: Tensor, num_codes: int, num_classes: int) -> Tensor:
    """How often some codes occur in the images of each class, ``(n, num_classes)`` int64.

    Args:
        tokens: Of all images, ``(N, ...)``.
        labels: Of the images, ``(N,)``.
        rows: Which codes are asked for, ``(n,)``, each once.
        num_codes: How many codes there are.
        num_classes: How many classes there are.

    Example:
        >>> class_profile(torch.tensor([[0, 2], [2, 2]]), torch.tensor([1, 0]), torch.tensor([2]), 3, 2).tolist()
        [[2, 1]]
    """
    place = torch.full((num_codes,), -1, dtype=torch.int64)
    place[rows] = torch.arange(len(rows))
    asked = place[tokens.long().flatten(1)]
    cell = (asked * num_classes + labels[:, None])[asked >= 0]
    return torch.bincount(cell, minlength=len(rows) * num_classes).view(len(rows), num_classes)


class Carrier(NamedTuple):
    """An image that holds a code, the first place where it does, and at how many places it does."""

    image: int
    place: int
    times: int


def carriers(tokens: Tensor, rows: Tensor, count: int) -> list[list[Carrier]]:
    """For each of some codes the images that hold it at the most places, these first; of equal ones the lower number.

    Args:
        tokens: Of all images, ``(N, ...)``; places are counted in row-major order.
        rows: Which codes are asked for, ``(n,)``.
        count: How many images of each, at most.

    Example:
        >>> carriers(torch.tensor([[5, 7], [7, 7]]), torch.tensor([7, 6]), 2)
        [[Carrier(image=1, place=0, times=2), Carrier(image=0, place=1, times=1)], []]
    """
    length = tokens[0].numel()
    ordered = tokens.long().flatten().sort(stable=True)
    first = torch.searchsorted(ordered.values, rows)
    last = torch.searchsorted(ordered.values, rows, right=True)
    found = []
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        flat = ordered.indices[begin:end]  # rising: the sort is stable
        images, counts = torch.unique_consecutive(flat // length, return_counts=True)
        starts = flat[counts.cumsum(0) - counts] % length
        most = counts.argsort(descending=True, stable=True)[:count]
        triples = (images[most].tolist(), starts[most].tolist(), counts[most].tolist())
        found.append([Carrier(*each) for each in zip(*triples, strict=True)])
    return found
