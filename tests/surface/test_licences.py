"""The page of licences is what is installed says, and nothing that asks much of who passes it on came unseen."""

import pytest

from surface.licences import PAGE, is_permissive, pins, rows, written_rows


def cells(row: str) -> tuple[list[str], set[str]]:
    """What a row states, and whom it names; these are fewer where an extra is not installed."""
    *stated, who = row.strip("| ").split(" | ")
    return stated, set(who.split(", "))


def test_the_page_tells_what_the_installed_packages_state():
    written = written_rows()
    for name, row in rows().items():
        stated, who = cells(row)
        if name in pins():
            told, named = cells(written[name])
            assert told == stated
            assert who <= named


def test_every_licence_that_is_not_permissive_is_named_above_the_table():
    named = PAGE.read_text(encoding="utf-8").partition("## All")[0]
    stated = {name: row.split(" | ")[2] for name, row in written_rows().items()}
    assert len(stated) > 50
    asking = [name for name, told in stated.items() if not is_permissive(told)]
    assert [name for name in asking if f"- {name}: " not in named] == []
    assert [name for name in asking if stated[name].startswith(("GPL", "AGPL"))] == []


@pytest.mark.parametrize(
    ("stated", "permissive"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND 0BSD AND MIT", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only OR MIT", True),
        ("MPL-2.0 AND MIT", False),
        ("LGPL-3.0-only", False),
        ("not stated", False),
    ],
)
def test_a_choice_needs_one_permissive_licence_and_a_sum_all_of_them(stated, permissive):
    assert is_permissive(stated) is permissive
