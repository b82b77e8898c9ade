"""The modulated block of xAR."""

import torch
import torch.nn.functional as F

from _support.mutants import catches
from _support.small_generators import small_xar
from vistok.generators import rotate

SUBJECT = "vistok.generators.layers._xar_block"


@catches(
    SUBJECT,
    "gate_a, gate_m, scale_a, scale_m, shift_a, shift_m = (",
    "gate_a, gate_m, shift_a, shift_m, scale_a, scale_m = (",
)
@catches(SUBJECT, "x = torch.addcmul(x, attended, gate_a)", "x = x + attended")
def test_one_block_follows_its_equations():
    """The block of one cell written out in float64 from its weights."""
    model = small_xar(gate="gelu").double()
    block = model.first_blocks[0]
    x, condition = torch.randn(1, 1, 8, 32).double(), torch.randn(1, 1, 32).double()
    parts = block.modulation.proj(F.silu(condition)).reshape(6, 32)
    gate_a, gate_m, scale_a, scale_m, shift_a, shift_m = parts

    def norm(v):
        return v / (v.square().mean(-1, keepdim=True) + 1e-6).sqrt()

    h = norm(x[0, 0]) * (1 + scale_a) + shift_a
    q, k, v = (block.qkv(h)[:, i * 32 : (i + 1) * 32].reshape(8, 2, 16).transpose(0, 1) for i in range(3))
    q, k = (rotate(part, model.rotary[:8]) for part in (q, k))
    out = ((q @ k.mT / 4).softmax(-1) @ v).transpose(0, 1).reshape(8, 32)
    y = x[0, 0] + gate_a * block.proj(out)
    h = norm(y) * (1 + scale_m) + shift_m
    mlp = block.mlp
    y = y + gate_m * mlp.out_proj(F.gelu(mlp.gate_proj(h)) * mlp.value_proj(h))
    got = block(x, condition, model.rotary[:8])[0, 0]
    torch.testing.assert_close(got, y, atol=1e-4, rtol=1e-4)
