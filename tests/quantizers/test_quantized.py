"""The return type of every quantizer, and the straight-through estimator."""

import numpy as np
import pytest
import torch
from hypothesis import given

from _support.mutants import catches
from _support.strategies import tensors
from vistok.quantizers import Quantized, straight_through

SUBJECT = "vistok.quantizers.quantized"


def test_the_fields_come_in_one_order():
    assert Quantized._fields == ("quantized", "codes", "indices")


@catches(SUBJECT, "codes.detach() + (z - z.detach())", "codes + (z - z.detach())")
@catches(SUBJECT, "codes.detach() + (z - z.detach())", "codes.detach() + (z - z).detach()")
def test_by_hand_the_value_is_the_codes_and_the_gradient_goes_to_the_features():
    z, codes = torch.tensor([0.1, 2.0], requires_grad=True), torch.tensor([1.0, -3.0], requires_grad=True)
    out = straight_through(z, codes)
    assert out.tolist() == [1.0, -3.0]
    (out * torch.tensor([5.0, 7.0])).sum().backward()
    assert z.grad.tolist() == [5.0, 7.0]
    assert codes.grad is None


@catches(SUBJECT, "codes.detach() + (z - z.detach())", "z + (codes - z).detach()")
@given(tensors((3, 2), limit=2.0**40), tensors((3, 2)))
def test_the_value_is_exact_however_far_the_features_are(z, codes):
    assert torch.equal(straight_through(z, codes), codes)


@catches(SUBJECT, "if z.shape != codes.shape:", "if False:")
def test_it_does_not_broadcast():
    for z, codes in ((torch.zeros(2, 1), torch.zeros(2, 3)), (torch.zeros(2, 3), torch.zeros(3))):
        with pytest.raises(ValueError, match="z and codes must have the same shape, got"):
            straight_through(z, codes)


@pytest.mark.parametrize("thing", [None, np.zeros((4, 3), np.float32), torch.zeros(4, 3).to_sparse()])
def test_what_is_no_dense_tensor_is_named(thing):
    dense = torch.zeros(4, 3)
    with pytest.raises(TypeError, match="z must be a dense tensor, got"):
        straight_through(thing, dense)
    with pytest.raises(TypeError, match="codes must be a dense tensor, got"):
        straight_through(dense, thing)
