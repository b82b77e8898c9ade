"""Cards by name."""

import pytest

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.cost.cards import CARDS, find_card

SUBJECT = "vistok.workbench.cost.cards"


@catches(SUBJECT, 'Card("H100 SXM 80 GB", 80, 989e12, 494e12)', 'Card("H100 SXM 80 GB", 80, 1979e12, 989e12)')
@catches(SUBJECT, 'Card("A100 80 GB", 80, 312e12, 156e12)', 'Card("A100 80 GB", 80, 624e12, 312e12)')
def test_rates_are_those_of_dense_products_and_float32_has_half():
    """Makers print twice as much, for products with zeros in half of the places."""
    assert (find_card("h100").bfloat16, find_card("a100").bfloat16) == (989e12, 312e12)
    for card in CARDS.values():
        assert card.float32 == pytest.approx(card.bfloat16 / 2, rel=0.02)


@catches(SUBJECT, "return CARDS[name.lower()]", "return CARDS[name]")
def test_a_name_may_be_in_capitals_and_an_unknown_one_is_told():
    assert find_card("H200").gigabytes == 141
    with pytest.raises(ConfigError, match=r"gpu: expected one of a100-40, a100, h100, .*got 'h900'"):
        find_card("h900")
