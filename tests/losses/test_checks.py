"""Errors of one line: the argument's name, what was expected, what came."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.losses._checks import (
    check_channel_dim,
    check_choice,
    check_dense,
    check_features,
    check_non_negative,
    check_pair,
    check_positive,
    check_same_shape,
)

SUBJECT = "vistok.losses._checks"
ONE = torch.ones(2, 3)


@catches(SUBJECT, "or tensor.layout != torch.strided", "")
@pytest.mark.parametrize(
    ("thing", "came"),
    [(ONE.to_sparse(), "torch.sparse_coo"), (ONE.to_mkldnn(), "torch._mkldnn")],
    ids=["sparse", "mkldnn"],
)
def test_a_tensor_of_another_layout_is_no_dense_one(thing, came):
    with pytest.raises(TypeError, match=f"^x must be a dense tensor, got {came}$"):
        check_dense("x", thing)


@pytest.mark.parametrize(
    ("thing", "came"), [(None, "NoneType"), ([1.0], "list"), (np.ones(2), "ndarray"), (1.5, "float")]
)
def test_what_is_no_tensor_is_a_type_error(thing, came):
    with pytest.raises(TypeError, match=f"^x must be a dense tensor, got {came}$"):
        check_dense("x", thing)


@catches(SUBJECT, "if tensor.ndim < min_dims:", "if tensor.ndim <= min_dims:")
@catches(SUBJECT, "if tensor.numel() == 0:", "if False:")
@catches(SUBJECT, "if not tensor.is_floating_point():", "if False:")
def test_features_are_floating_point_have_elements_and_enough_dimensions():
    check_features("x", ONE, min_dims=2)
    check_features("x", ONE.half())
    with pytest.raises(TypeError, match=r"^x must be a floating point tensor, got torch\.int64$"):
        check_features("x", ONE.long())
    with pytest.raises(ValueError, match=r"^x must have at least 3 dimensions, got shape \(2, 3\)$"):
        check_features("x", ONE, min_dims=3)
    with pytest.raises(ValueError, match=r"^x must not be empty, got shape \(0, 3\)$"):
        check_features("x", torch.ones(0, 3))


@catches(SUBJECT, "check_same_shape(name_a, a, name_b, b)", "pass")
@catches(SUBJECT, "check_features(name_b, b, min_dims=min_dims)", "pass")
def test_a_pair_has_one_shape():
    check_pair("a", ONE, "b", ONE)
    for check in (check_pair, check_same_shape):
        with pytest.raises(ValueError, match=r"^a and b must have the same shape, got \(2, 3\) and \(3, 2\)$"):
            check("a", ONE, "b", ONE.T)
    with pytest.raises(TypeError, match=r"^b must be a floating point tensor, got torch\.int64$"):
        check_pair("a", ONE, "b", ONE.long())


@catches(SUBJECT, "check_at_least(name, value, 0)", "check_positive(name, value)")
@catches(SUBJECT, "value >= least", "value > least")
@catches(SUBJECT, "and value > 0", "and value >= 0")
@given(st.floats())
def test_numbers_are_finite_and_on_the_right_side_of_zero(value):
    finite = value - value == 0
    for check, good, wanted in ((check_non_negative, value >= 0, ">= 0"), (check_positive, value > 0, "> 0")):
        check("x", 1.0)
        if finite and good:
            check("x", value)
        else:
            with pytest.raises(ValueError, match=f"^x must be finite and {wanted}, got") as caught:
                check("x", value)
            assert str(value) in str(caught.value)
    check_non_negative("x", 0.0)
    with pytest.raises(ValueError, match=r"^x must be finite and > 0, got 0\.0$"):
        check_positive("x", 0.0)


@catches(SUBJECT, "if value not in choices:", "if value in choices:")
def test_a_choice_is_one_of_the_choices():
    check_choice("norm", "l1", ("l1", "l2"))
    with pytest.raises(ValueError, match=r"^norm must be one of 'l1', 'l2', got 'l3'$"):
        check_choice("norm", "l3", ("l1", "l2"))


@catches(SUBJECT, "or channel_dim % tensor.ndim == 0", "or channel_dim == 0")
@catches(SUBJECT, "<= channel_dim < tensor.ndim", "<= channel_dim")
def test_channels_never_sit_in_the_batch_dimension_nor_outside():
    for dim in (1, -1):
        check_channel_dim(ONE, dim)
    for dim in (0, -2, 3, -3):
        with pytest.raises(ValueError, match=rf"^channel_dim must name a .*, got {dim} for shape \(2, 3\)$"):
            check_channel_dim(ONE, dim)
