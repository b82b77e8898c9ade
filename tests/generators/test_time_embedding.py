"""Sinusoids of the flow time."""

import torch
import torch.nn.functional as F

from _support.mutants import catches
from vistok.generators import TimeEmbedding

SUBJECT = "vistok.generators.layers.time_embedding"


@catches(SUBJECT, "scaled.trunc()", "scaled.round()")
def test_time_embedding_follows_its_equation():
    torch.manual_seed(0)
    layer = TimeEmbedding(6)
    t = torch.tensor([[0.3, 0.99951]])
    angle = 1000 * t.double()[..., None] * 10000 ** (-torch.arange(128, dtype=torch.float64) / 128)
    basis = torch.cat([angle.cos(), angle.sin()], -1).float()
    torch.testing.assert_close(layer(t), layer.out(F.silu(layer.hidden(basis))), atol=1e-4, rtol=1e-3)
    whole = TimeEmbedding(6, integer_time=True)
    torch.testing.assert_close(whole(torch.tensor([0.99951])), whole(torch.tensor([0.999])))
