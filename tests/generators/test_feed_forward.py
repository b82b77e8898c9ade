"""The gated feed-forward layer."""

import torch
import torch.nn.functional as F

from _support.mutants import catches
from vistok.generators import SwiGLU

SUBJECT = "vistok.generators.layers.feed_forward"


@catches(SUBJECT, 'F.silu if gate == "silu" else F.gelu', "F.silu")
def test_the_gate_is_what_its_name_says():
    torch.manual_seed(0)
    x = torch.randn(4, 3)
    for gate, activation in (("silu", F.silu), ("gelu", F.gelu)):
        layer = SwiGLU(3, 5, gate=gate)
        expected = (
            activation(x @ layer.gate_proj.weight.T) * (x @ layer.value_proj.weight.T)
        ) @ layer.out_proj.weight.T
        torch.testing.assert_close(layer(x), expected)
