"""What a network computes in: bfloat16 where asked for, and float32 afterwards."""

import torch

from _support.mutants import catches
from vistok.workbench.training.precision import mixed_precision

SUBJECT = "vistok.workbench.training.precision"
CPU = torch.device("cpu")


@catches(SUBJECT, 'enabled=kind == "bf16"', "enabled=True")
@catches(SUBJECT, "torch.bfloat16, enabled", "torch.float16, enabled")
def test_a_network_computes_in_bfloat16_where_asked_for_and_keeps_float32_parameters():
    network, images = torch.nn.Linear(3, 2), torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    for kind, dtype in (("no", torch.float32), ("bf16", torch.bfloat16)):
        with mixed_precision(CPU, kind):
            out = network(images)
        assert out.dtype == dtype
        out.float().sum().backward()
        assert {(p.dtype, p.grad.dtype) for p in network.parameters()} == {(torch.float32, torch.float32)}
    assert network(images).dtype == torch.float32
