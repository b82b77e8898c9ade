"""The causal block of FAR and LlamaGen."""

import math

import torch
import torch.nn.functional as F

from _support.mutants import catches
from _support.small_generators import small_far
from vistok.generators import rotate

SUBJECT = "vistok.generators.layers._causal_block"


@catches(SUBJECT, "causal=tokens > 1", "causal=False")
@catches(SUBJECT, "x = x + self.mlp(self.mlp_norm(x))", "x = x + self.mlp(x)")
@catches(SUBJECT, "self.mlp_norm = RMSNorm(width, eps=1e-5)", "self.mlp_norm = RMSNorm(width, eps=1e-1)")
def test_one_block_follows_its_equations():
    model = small_far((9,), head_depth=0)
    block = model.blocks[0].double()
    x = torch.randn(1, 6, 32).double()

    def norm(v, layer):
        return layer.weight * v / (v.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    h = norm(x[0], block.attention_norm)
    q, k, v = (block.qkv(h)[:, i * 32 : (i + 1) * 32].reshape(6, 2, 16).transpose(0, 1) for i in range(3))
    q, k = (rotate(part, model.rotary) for part in (q, k))
    logits = (q @ k.mT / 4).masked_fill(~torch.ones(6, 6).tril().bool(), -math.inf)
    y = x[0] + block.proj((logits.softmax(-1) @ v).transpose(0, 1).reshape(6, 32))
    h, mlp = norm(y, block.mlp_norm), block.mlp
    y = y + mlp.out_proj(F.silu(mlp.gate_proj(h)) * mlp.value_proj(h))
    torch.testing.assert_close(block(x, model.rotary)[0], y, atol=1e-4, rtol=1e-4)
