"""Moments of the cosines of a set, and the smallest that a dimension allows."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, tensors
from vistok.metrics import cosine_moments, welch_bound

SUBJECT = "vistok.metrics.codes.cosine"


@catches(SUBJECT, "pairs = len(units) * (len(units) - 1)", "pairs = len(units) ** 2")
@catches(SUBJECT, "(units.T @ units).square().sum() - len(units)", "(units.T @ units).square().sum()")
def test_moments_are_those_of_all_pairs():
    vectors = normal(0, 17, 4) + 0.3
    units = vectors.double() / vectors.double().norm(dim=1, keepdim=True)
    cosines = (units @ units.T)[~torch.eye(17, dtype=torch.bool)]
    moments = cosine_moments(vectors)
    assert abs(moments.mean - cosines.mean()) < 1e-12
    assert abs(moments.rms - cosines.square().mean().sqrt()) < 1e-12


def test_two_vectors_by_hand():
    """(3, 4) and (4, 3): 24 of 25."""
    assert cosine_moments(torch.tensor([[3.0, 4.0], [4.0, 3.0]])) == pytest.approx((0.96, 0.96), abs=1e-12)


@catches(SUBJECT, "(num_vectors / dim - 1)", "(num_vectors / dim)")
def test_no_vectors_beat_the_welch_bound_and_some_reach_it():
    for seed in range(5):
        assert cosine_moments(normal(seed, 20, 3)).rms >= welch_bound(20, 3)
    frame = torch.cat([torch.eye(3), torch.eye(3)[[1, 2, 0]], -torch.eye(3)])
    assert abs(cosine_moments(frame).rms - welch_bound(9, 3)) < 1e-12
    assert welch_bound(3, 3) == 0.0


@given(tensors((6, 3)), st.floats(0.1, 10))
def test_order_and_scale_do_not_matter(vectors, scale):
    assume(bool((vectors.norm(dim=1) > 1e-3).all()))
    moments = cosine_moments(vectors)
    assert cosine_moments(vectors.flip(0) * scale) == pytest.approx(moments, abs=1e-6)
    assert abs(moments.mean) <= moments.rms + 1e-9
    assert moments.rms <= 1 + 1e-9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cosine_moments(torch.zeros(3, 2)), "zero"),
        (lambda: cosine_moments(torch.ones(1, 2)), "n >= 2"),
        (lambda: welch_bound(1, 8), "num_vectors"),
    ],
)
def test_bad_input_is_named_in_one_line(call, words):
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z") as caught:
        call()
    assert words in str(caught.value)
