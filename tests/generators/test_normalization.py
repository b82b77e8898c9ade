"""Division by the root mean square."""

import torch

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import RMSNorm

SUBJECT = "vistok.generators.layers.normalization"


@catches(SUBJECT, "weight, self.eps)", "weight, 1e-8)")
def test_rms_norm_follows_its_equation():
    x = torch.randn(3, 6, generator=seeded(1))
    norm = RMSNorm(6, eps=1e-3)
    torch.nn.init.uniform_(norm.weight)
    expected = norm.weight.double() * x.double() / (x.double().square().mean(-1, keepdim=True) + 1e-3).sqrt()
    torch.testing.assert_close(norm(x).double(), expected, atol=1e-6, rtol=1e-5)
    assert list(RMSNorm(6, affine=False).parameters()) == []
    assert norm(x.bfloat16()).dtype == torch.bfloat16
