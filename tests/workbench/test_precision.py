"""What a network computes in: bfloat16 where asked for, and the plain form of attention on a CPU."""

import pytest
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


def attention_kernels():
    enabled = torch.backends.cuda  # where torch keeps the switches of all devices
    return enabled.math_sdp_enabled(), enabled.flash_sdp_enabled(), enabled.mem_efficient_sdp_enabled()


@catches(SUBJECT, 'device.type == "cpu"', 'device.type != "cpu"')
def test_attention_takes_its_plain_form_on_a_cpu_and_whatever_it_took_before_afterwards():
    before = attention_kernels()
    with mixed_precision(CPU, "no"):
        assert attention_kernels() == (True, False, False)
    assert attention_kernels() == before
    with pytest.raises(ValueError, match="no"), mixed_precision(CPU, "bf16"):
        raise ValueError("no")
    assert attention_kernels() == before
    assert not torch.is_autocast_enabled("cpu")
