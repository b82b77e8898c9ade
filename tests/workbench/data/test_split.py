"""Which images are held out: the share that is asked for of every class, and never a part of a group."""

import hashlib
import itertools
from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.data._split import hash_split, held_out

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


def cut(keys, fraction, unreadable=(), limit=0):
    """The split, and the rows of which it was asked whether they are readable."""
    asked = []

    def readable(row):
        asked.append(row)
        return row not in unreadable

    keys = [key.encode() for key in keys]
    return *hash_split(keys, readable, seed=0, fraction=fraction, max_unreadable=limit), asked


@catches(SUBJECT, "ranked[0] + 1), ranked[-1])", "ranked[0] + 1), ranked[-1] + 1)")
@catches(SUBJECT, "max(border, ranked[0] + 1)", "max(border, ranked[0])")
@catches(SUBJECT, "if not 0 < len(side) <= max_unreadable or", "if")
@given(st.text("abcdefgh", min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_hashes_split_rows_whole_by_their_keys_and_leave_no_side_empty(keys, fraction):
    train, validation, asked = cut(keys, fraction, range(len(keys)))
    assert sorted(train + validation) == list(range(len(keys)))
    assert not {keys[row] for row in train} & {keys[row] for row in validation}
    assert (train and validation) or len({*keys}) == 1
    assert asked == []


@catches(SUBJECT, "places[missing] < ranked[-1]", "True")
@catches(SUBJECT, "places[missing] > ranked[0]", "True")
@catches(SUBJECT, "bisect_right(ranked, places[missing])", "bisect_left(ranked, places[missing])")
@catches(SUBJECT, "count = bisect_left(ranked, places[missing])", "count = bisect_right(ranked, places[missing])")
@catches(SUBJECT, "any(map(readable, side))", "False")
@catches(SUBJECT, "order[count:][::-1], order[:count][::-1]", "order[count:][::-1], order[:count]")
def test_the_border_is_the_nearest_with_readable_rows_on_both_sides():
    rows = {*range(5)}
    for keys in ("abcde", "aabbc", "abcbd"):
        cuts = sorted({tuple(cut(keys, number / 200)[1]) for number in range(1, 200)}, key=len)
        assert len(cuts) == len({*keys}) - 1
        for fraction, bits in itertools.product((0.01, 0.5, 0.99), range(2**5)):
            place = cuts.index(tuple(cut(keys, fraction)[1]))
            unreadable = {row for row in rows if bits >> row & 1}
            train, validation, _ = cut(keys, fraction, unreadable, 5)
            good = [held for held in cuts if {*held} - unreadable and rows - {*held} - unreadable]
            nearest = min(good, key=lambda held: abs(cuts.index(held) - place), default=tuple(validation))
            assert (tuple(validation), {*train}) == (nearest, rows - {*nearest})
            assert nearest in cuts


@catches(SUBJECT, "max_unreadable + 1 - len(side)]", "max_unreadable - len(side)]")
@catches(SUBJECT, "max_unreadable + 1 - len(side)]", "max_unreadable + 2 - len(side)]")
@catches(SUBJECT, "0 < len(side) <= max_unreadable", "0 < len(side) < max_unreadable")
def test_no_side_gets_more_unreadable_rows_than_an_error_takes():
    keys = "abcdef"
    first, second, third = sorted(range(6), key=lambda row: hashlib.sha256(f"0:{keys[row]}".encode()).digest())[:3]
    assert cut(keys, 1e-9, {first, second}, 1)[1] == [first]
    assert cut(keys, 1e-9, {first, second}, 2)[1] == sorted([first, second, third])
    assert cut(keys, 1e-9, {first}, 1)[1] == sorted([first, second])
    assert cut(keys, 1e-9, {first}, 0)[1] == [first]
