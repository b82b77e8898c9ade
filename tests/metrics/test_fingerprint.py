"""A fingerprint names tensors, whatever their order, and changes with any value, name or shape of bytes."""

import hashlib

import torch

from _support.mutants import catches
from vistok.metrics.networks.fingerprint import fingerprint

SUBJECT = "vistok.metrics.networks.fingerprint"


@catches(SUBJECT, "digest.update(key.encode())", "pass")
@catches(SUBJECT, "sorted(weights.items())", "weights.items()")
@catches(SUBJECT, ".flatten().view(torch.uint8)", ".flatten()[:1].view(torch.uint8)")
def test_a_fingerprint_is_that_of_the_names_and_the_values():
    weights = {"b": torch.arange(6.0).view(2, 3), "a": torch.tensor([1, 2])}
    wanted = hashlib.sha256(b"a" + weights["a"].numpy().tobytes() + b"b" + weights["b"].numpy().tobytes())
    assert fingerprint(weights) == wanted.hexdigest()[:16]
    assert fingerprint(dict(reversed(weights.items()))) == fingerprint(weights)
    transposed = weights["b"].T.contiguous().T
    assert fingerprint({**weights, "b": transposed}) == fingerprint(weights)
    assert fingerprint({**weights, "c": weights["a"]}) != fingerprint(weights)


@catches(SUBJECT, ".flatten().view(torch.uint8)", ".flatten()")
def test_weights_of_any_dtype_and_shape_have_one():
    found = {
        fingerprint({"a": torch.full(shape, 1.0).to(dtype)})
        for dtype in (torch.bfloat16, torch.float16, torch.float64, torch.bool)
        for shape in ((), (2, 3))
    }
    assert len(found) == 8
    assert fingerprint({"a": torch.empty(0)}) == hashlib.sha256(b"a").hexdigest()[:16]
