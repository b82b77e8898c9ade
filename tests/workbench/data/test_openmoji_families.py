"""Families of drawings: variants of one are of one family, and every row of look-alikes is about drawings there are."""

from collections import Counter

import pytest

from _support.mutants import catches
from vistok.workbench.data._openmoji_families import _ALIKE, family
from vistok.workbench.data.openmoji import OpenMoji

SUBJECT = "vistok.workbench.data._openmoji_families"

VARIANTS = [
    "1F44B 1F44B-1F3FB 1F44B-1F3FF",  # skins of a hand
    "1F680 1F680-FE0F",
    "1F9D1-200D-1F680 1F469-1F3FD-200D-1F680 1F468-200D-1F680",  # an astronaut, a woman, a man
    "1F3C3 1F3C3-200D-2640-FE0F 1F3C3-1F3FB-200D-27A1-FE0F",  # running, and to the right
    "1F9D1 1F469-200D-1F9B0 1F468-1F3FF-200D-1F9B2 1F471-200D-2642-FE0F",  # hair
    "1F46A 1F468-200D-1F469-200D-1F466 1F9D1-200D-1F9D1-200D-1F9D2",
    "1F46B 1F469-1F3FB-200D-1F91D-200D-1F468-1F3FC 1F46C",  # holding hands
    "1FAD9 1FAD9-200D-1F7E5",  # a jar, with red content
    "1F3F3-FE0F 1F3F4-FE0F-200D-1F7E6",  # flags of one colour
    "1FBC6 1FBC6-200D-1F457",
    "0023-FE0F-20E3 0037-FE0F-20E3",  # keys
    "1F1EB-1F1F7 1F1E8-1F1F5",  # France, Clipperton
]


@catches(SUBJECT, "*range(0x1F3FB, 0x1F400)", "*range(0x1F3FB, 0x1F3FF)")
@catches(SUBJECT, "*(0x2640, 0x2642),", "0x2640,")
@catches(SUBJECT, "0x1F468: _PERSON", "0x1F468: _CHILD")
@catches(SUBJECT, "return _FAMILY", "pass")
@catches(SUBJECT, "_FAMILIES.get(key, key)", "key")
def test_variants_of_a_drawing_are_of_one_family():
    assert all(len({family(name) for name in row.split()}) == 1 for row in VARIANTS)


@catches(SUBJECT, "or points[:1]", "")
@catches(SUBJECT, "set(kept) <= {_PERSON, _CHILD}", "set(kept) & {_PERSON, _CHILD}")
def test_other_drawings_are_of_other_families():
    names = ["1F680", "1F9D1-200D-1F680", "1F9D1-200D-1F692", "1F46A", "1F9D1", "1F9D2", "1F7E5", "2640-FE0F", "27A1"]
    assert len({family(name) for name in names}) == len(names)


@pytest.fixture(scope="module")
def drawings():
    return OpenMoji(32)


def test_every_look_alike_is_a_drawing_and_in_one_row(drawings):
    keys = Counter(key for row in _ALIKE for key in row.split())
    assert max(keys.values()) == 1
    stems = {row.split()[0] for row in _ALIKE}
    assert stems <= set(drawings.families)
    assert {family(key) for key in keys} == stems  # each is reached by the drawing that it names, as by itself
    apart = {key for key in keys if key not in drawings.names and not key.startswith(("1F9D1-", "20E3", "1FAF1-"))}
    assert {key for key in apart if key + "-FE0F" not in drawings.names} == set()


def test_families_are_many_and_the_largest_are_pairs_of_people(drawings):
    counts = Counter(drawings.families)
    assert len(counts) == 2045
    assert counts.most_common(1) == [("1F9D1", 162)]
    assert counts["1F46B"] == counts["1F48F"] == counts["1F491"] == 104
