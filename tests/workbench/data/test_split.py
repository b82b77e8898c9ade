"""Which images are held out: the share that is asked for of every class, and never a part of a group."""

import hashlib
from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.data._split import held_out

SUBJECT = "vistok.workbench.data._split"

SMALL_CLASSES = st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=12), min_size=1, max_size=4)


def laid_out(classes):
    """Labels and groups of classes, each a list of the sizes of its groups; groups lie among each other."""
    images = [
        (label, f"{label}/{number}")
        for label, sizes in enumerate(classes)
        for number, size in enumerate(sizes)
        for _ in range(size)
    ]
    images.sort(key=lambda image: hashlib.sha256(repr(image).encode()).digest())
    return torch.tensor([label for label, _ in images]), [group for _, group in images]


@catches(SUBJECT, "sizes[group] <= room and", "sizes[group] <= room + 1 and")
@catches(SUBJECT, "                room -= sizes[group]\n", "                room -= 1\n")
@catches(SUBJECT, "min(members, key=sizes.__getitem__)", "max(members, key=sizes.__getitem__)")
@given(SMALL_CLASSES, st.integers(0, 9), st.floats(0.01, 0.99))
def test_whole_groups_of_every_class_are_held_out_up_to_the_share(classes, seed, fraction):
    labels, groups = laid_out(classes)
    mask = held_out(labels, groups, seed=seed, fraction=fraction)
    validation = {group for group, held in zip(groups, mask.tolist(), strict=True) if held}
    assert mask.tolist() == [group in validation for group in groups]
    for label, sizes in enumerate(classes):
        held = [size for number, size in enumerate(sizes) if f"{label}/{number}" in validation]
        assert len(held) < len(sizes)
        assert held or len(sizes) == 1
        assert sum(held) <= max(round(fraction * sum(sizes)), min(sizes))


@catches(SUBJECT, "len(fitting) + 1 < len(members)", "True")
@given(st.integers(2, 60), st.integers(0, 9), st.floats(0.01, 0.99))
def test_images_without_groups_are_held_out_to_the_very_number(count, seed, fraction):
    mask = held_out(torch.zeros(count).long(), [str(n) for n in range(count)], seed=seed, fraction=fraction)
    assert mask.sum() == min(max(round(fraction * count), 1), count - 1)
    first = sorted(range(count), key=lambda n: hashlib.sha256(f"{seed}:{n}".encode()).digest())[: int(mask.sum())]
    if fraction * count >= 1:
        assert sorted(first) == mask.nonzero()[:, 0].tolist()


@catches(SUBJECT, 'f"{seed}:{group}"', "group")
def test_the_seed_and_the_names_of_the_groups_decide_and_not_their_order():
    labels, groups = laid_out([[1, 2, 3] * 4, [2] * 10])
    first = held_out(labels, groups, seed=0, fraction=0.3)
    assert not torch.equal(first, held_out(labels, groups, seed=1, fraction=0.3))
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(0))
    shuffled = held_out(labels[order], [groups[place] for place in order.tolist()], seed=0, fraction=0.3)
    assert torch.equal(shuffled, first[order])


@catches(SUBJECT, "zip(reversed(groups), reversed(labels.tolist()), strict=True)", "zip(groups, labels.tolist())")
def test_a_group_of_two_classes_is_whole_and_counts_for_that_of_its_first_image():
    labels = torch.tensor([0, 1, 0, 1, 1, 1])
    groups = ["both", "both", "a", "b", "b", "b"]
    mask = held_out(labels, groups, seed=0, fraction=0.4)
    assert Counter(group for group, held in zip(groups, mask.tolist(), strict=True) if held) == {"a": 1}
