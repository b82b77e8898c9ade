"""Checks of what a caller passes in, one by one; which model asks for which is in test_input_checks.py."""

import pytest
import torch

from _support.mutants import catches
from vistok.generators._checks import (
    check_certain,
    check_choice,
    check_dense,
    check_floating,
    check_ids,
    check_integers,
    check_labels,
    check_length,
    check_range,
    check_share,
    check_whole,
)

SUBJECT = "vistok.generators._checks"


@catches(SUBJECT, " or tensor.layout != torch.strided", "")
@catches(SUBJECT, "if not tensor.is_floating_point():", "if False:")
@catches(SUBJECT, "(torch.int64, torch.int32)", "(torch.int64,)")
def test_layout_and_type_are_those_that_are_asked_for():
    check_dense("x", torch.ones(2, dtype=torch.bool))
    check_floating("x", torch.ones(2).half())
    check_integers("x", torch.ones(2).int())
    with pytest.raises(TypeError, match=r"^x must be a dense tensor, got torch\.sparse_coo$"):
        check_dense("x", torch.ones(2).to_sparse())
    with pytest.raises(TypeError, match=r"^x must be a floating point tensor, got torch\.int64$"):
        check_floating("x", torch.ones(2).long())
    with pytest.raises(TypeError, match=r"^x must be integers \(int64 or int32\), got torch\.int16$"):
        check_integers("x", torch.ones(2).short())


@catches(SUBJECT, "if labels.ndim != 1:", "if labels.ndim > 2:")
@catches(SUBJECT, "if batch is not None and len(labels) != batch:", "if False:")
def test_there_is_one_label_a_sample():
    check_labels(torch.tensor([0, 3]), 3, 2)
    with pytest.raises(ValueError, match=r"^labels must have shape \(B,\), got \(1, 1\)$"):
        check_labels(torch.tensor([[1]]), 3)
    with pytest.raises(ValueError, match=r"^labels must have shape \(3,\), a label a sample, got \(2,\)$"):
        check_labels(torch.tensor([0, 3]), 3, 3)


@catches(SUBJECT, "high > highest", "high > highest + 1")
@catches(SUBJECT, "low < 0 or", "")
@catches(SUBJECT, "tokens[..., unit], size - 1)", "tokens[..., unit], size)")
def test_both_ends_of_a_range_belong_to_it_and_nothing_beyond():
    check_range("x", torch.tensor([0, 4]), 4)
    check_ids(torch.tensor([[[4, 6]]]), (5, 7))
    for value in (-1, 5):
        with pytest.raises(ValueError, match=rf"^x must lie in \[0, 4\], got values from {value} to {value}$"):
            check_range("x", torch.tensor([value]), 4)
    with pytest.raises(ValueError, match=r"^tokens\[\.\.\., 1\] must lie in \[0, 6\], got values from 7 to 7$"):
        check_ids(torch.tensor([[[4, 7]]]), (5, 7))


@catches(SUBJECT, "if values.is_meta or values.numel() == 0:", "if values.is_meta:")
def test_nothing_has_no_range():
    check_range("x", torch.zeros(0, dtype=torch.int64), 4)


@catches(SUBJECT, "if not 0 <= value < 1:", "if not 0 <= value <= 1:")
def test_a_share_is_below_one():
    check_share("x", 0.0)
    with pytest.raises(ValueError, match=r"^x must lie in \[0, 1\), got 1\.0$"):
        check_share("x", 1.0)


@catches(SUBJECT, "{last}, got {value!r}", "{last}, got {value}")
def test_a_choice_is_one_of_those_that_are_listed():
    check_choice("x", "b", ("a", "b", "c"))
    with pytest.raises(ValueError, match=r"^x must be 'a', 'b' or 'c', got 'd'$"):
        check_choice("x", "d", ("a", "b", "c"))


@catches(SUBJECT, "not isinstance(value, Integral) or", "")
@catches(SUBJECT, "(isinstance(num_tokens, Integral) and 1 <= num_tokens <= length)", "(1 <= num_tokens <= length)")
def test_numbers_of_things_are_whole():
    check_whole("n", True, 1)
    check_whole("n", torch.tensor([3]).numpy()[0], 1)
    assert check_length(2, 3) == 2
    for value in (2.0, "2", 0, None):
        with pytest.raises(ValueError, match=rf"^n must be an integer >= 1, got {value!r}$"):
            check_whole("n", value, 1)
    with pytest.raises(ValueError, match=r"^num_tokens must lie in 1\.\.3 \(the number of positions\), got 2\.0$"):
        check_length(2.0, 3)


@catches(SUBJECT, "torch._assert_async(finite.all(), expected)", "pass")
def test_in_a_compiled_graph_what_is_not_finite_fails_an_assertion():
    check_certain("x", torch.tensor([1.0, -2.0]))

    @torch.compile(backend="eager", fullgraph=True)
    def checked(largest):
        check_certain("x", largest)
        return largest + 1

    with pytest.raises(RuntimeError, match="x must have a finite maximum"):
        checked(torch.tensor([1.0, torch.nan]))
