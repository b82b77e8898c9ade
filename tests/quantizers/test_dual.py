"""Two codebooks for two branches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeded, seeds
from vistok.quantizers import DualQuantizer, VectorQuantizer

SUBJECT = "vistok.quantizers.dual"


@catches(
    SUBJECT,
    "DualQuantized(self.semantic(z_semantic), self.visual(z_visual))",
    "DualQuantized(self.semantic(z_visual), self.visual(z_semantic))",
)
@catches(SUBJECT, "        self.semantic.update()\n", "")
@catches(SUBJECT, "        self.visual.freeze()\n", "")
@catches(SUBJECT, "for size in (semantic_size, visual_size)", "for size in (visual_size, semantic_size)")
def test_each_branch_has_its_codebook():
    dual = DualQuantizer(8, 12, 3, learning="ema", generator=seeded(0))
    order = seeded(0)
    semantic, visual = (VectorQuantizer(size, 3, learning="ema", generator=order) for size in (8, 12))
    a, b = normal(1, 2, 3, 4), normal(2, 2, 3, 4)
    out = dual(a, b)
    for mine, single, z in ((out.semantic, semantic, a), (out.visual, visual, b)):
        for left, right in zip(mine, single(z), strict=True):
            assert torch.equal(left, right)
    codes = dual.indices_to_codes(out.semantic.indices, out.visual.indices)
    assert torch.equal(codes[0], out.semantic.codes)
    assert torch.equal(codes[1], out.visual.codes)
    dual.update()
    semantic.update()
    visual.update()
    assert torch.equal(dual.semantic.codebook, semantic.codebook)
    assert torch.equal(dual.visual.codebook, visual.codebook)
    dual.freeze()
    assert dual.semantic.frozen
    assert dual.visual.frozen
    dual.unfreeze()
    assert not dual.semantic.frozen
    assert not dual.visual.frozen


@catches(SUBJECT, "metric=metric,", "")
def test_by_hand():
    """Codes 3 and -1 on one side, 10 on the other: 2 is nearest to 3, and 2 has only 10 to go to."""
    dual = DualQuantizer(2, 1, 1, metric="euclidean")
    dual.semantic.codebook.data.copy_(torch.tensor([[3.0], [-1.0]]))
    dual.visual.codebook.data.fill_(10.0)
    semantic, visual = dual(torch.tensor([[2.0]]), torch.tensor([[2.0], [0.0]]))
    assert semantic.codes.tolist() == [[3.0]]
    assert visual.codes.tolist() == [[10.0], [10.0]]


@settings(max_examples=15)
@given(seeds, st.sampled_from(["gradient", "ema"]))
def test_no_gradient_crosses_between_the_branches(seed, learning):
    dual = DualQuantizer(5, 6, 3, learning=learning, generator=seeded(seed))
    a, b = normal(seed, 2, 3, 4).requires_grad_(), normal(seed + 1, 2, 3, 2).requires_grad_()
    out = dual(a, b).semantic
    ((out.quantized * normal(seed + 2, 2, 3, 4)).sum() + out.codes.sum()).backward()
    assert a.grad.any()
    assert b.grad is None
    assert getattr(dual.visual.codebook, "grad", None) is None


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="codebook_size must be a whole number of at least 1, got 0"):
        DualQuantizer(0, 4, 8)
