"""Sizes of a network from the names and shapes of its weights."""

import pytest
import torch

from _support.mutants import catches
from vistok.tokenizers.published._sizes import count, size

SUBJECT = "vistok.tokenizers.published._sizes"
STATE = {f"stack.{index}.conv.{leaf}": torch.zeros(4, 3) for index in (0, 1, 10) for leaf in ("weight", "bias")}


@catches(SUBJECT, "return value.shape[dim]", "return value.shape[0]")
def test_a_size_is_that_along_the_dimension():
    assert [size(STATE, "stack.0.conv.weight", dim) for dim in (0, 1, -1)] == [4, 3, 3]


@catches(SUBJECT, 'split(".")[0]', 'split(".")[-1]')
@catches(SUBJECT, 'startswith(f"{name}.")', "startswith(name)")
def test_members_of_a_list_are_counted_once_each_and_those_of_longer_names_not():
    state = {**STATE, "stacked.0.weight": torch.zeros(1), "stacked.norm": torch.zeros(1)}
    assert [count(state, name) for name in ("stack", "stacked", "stack.1", "nothing")] == [3, 2, 1, 0]


@catches(SUBJECT, "-value.ndim <= dim < value.ndim", "-value.ndim <= dim <= value.ndim")
def test_what_tells_no_size_is_named_in_one_line():
    for name, got in (("stack.0.conv.weight", r"\(4, 3\)"), ("other", "none")):
        with pytest.raises(ValueError, match=f"does not fit: expected {name} to tell the network's size, got {got}"):
            size(STATE, name, 2)
    with pytest.raises(TypeError, match="state: expected a dictionary of tensors by name, got list"):
        size([STATE], "other", 0)
