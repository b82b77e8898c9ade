"""The block of masked generators."""

import torch
import torch.nn.functional as F

from _support.mutants import catches
from _support.small_generators import small_masked
from _support.strategies import seeded

SUBJECT = "vistok.generators.layers._bidirectional_block"


@catches(SUBJECT, "1e-12", "1e-5")
def test_norms_divide_by_the_spread_however_small():
    """The published epsilon, 1e-12, does not show at a spread of 1e-4, where torch's 1e-5 is a thousand times it."""
    for model in (small_masked(), small_masked("bits", 6, post_norm=True)):
        norms = [module for module in model.modules() if isinstance(module, torch.nn.LayerNorm)]
        assert len(norms) == 6
        x = 1e-4 * torch.randn(5, 32, generator=seeded(0))
        centred = x.double() - x.double().mean(-1, keepdim=True)
        expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
        for norm in norms:
            torch.testing.assert_close(norm(x).double(), expected, atol=1e-5, rtol=1e-5)


def test_norms_of_a_constant_are_finite_and_so_are_their_gradients():
    """Zeros give zeros; rounding of another constant is at most as large as any normalised vector."""
    for dtype in (torch.float32, torch.bfloat16):
        norm = small_masked().to(dtype).hidden_norm
        for value in (0.0, 0.1, -3.0, 1000.0):
            x = torch.full((2, 32), value, dtype=dtype, requires_grad=True)
            out = norm(x)
            out.square().sum().backward()
            assert out.isfinite().all()
            assert x.grad.isfinite().all()
            assert out.float().square().mean() <= 1.01
            assert value or (out == 0).all()


@catches(
    SUBJECT,
    "x = self.attention_norm(x + self._attend(x, table, cache, positions))",
    "x = self.attention_norm(self._attend(x, table, cache, positions))",
)
def test_post_norm_block_follows_its_equations():
    model = small_masked("bits", 6, post_norm=True)
    block = model.blocks[0].double()
    x = torch.randn(1, 7, 32).double()
    q, k, v = (block.qkv(x[0])[:, i * 32 : (i + 1) * 32].reshape(7, 2, 16).transpose(0, 1) for i in range(3))
    out = ((q @ k.mT / 4).softmax(-1) @ v).transpose(0, 1).reshape(7, 32)
    y = block.attention_norm(x[0] + block.proj(out))
    y = block.mlp_norm(y + block.down(F.gelu(block.up(y))))
    torch.testing.assert_close(block(x, None)[0], y, atol=1e-5, rtol=1e-5)
